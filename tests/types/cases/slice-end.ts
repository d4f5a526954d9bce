import { zeros } from '../prelude.js'

zeros([2, 3]).slice([null, [0, 9]])
