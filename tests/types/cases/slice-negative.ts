import { zeros } from '../prelude.js'

zeros([2, 3]).slice([[-1, 2]])
