import { zeros } from '../prelude.js'

zeros([2, 3, 4]).permute(1, 0)
