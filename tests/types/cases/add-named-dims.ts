import { dim, zeros } from '../prelude.js'

zeros([dim('batch', 7), 3]).add(zeros([dim('time', 7), 3]))
