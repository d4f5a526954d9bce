import { zeros } from '../prelude.js'

zeros([2, 3]).slice([null, null, [0, 1]])
