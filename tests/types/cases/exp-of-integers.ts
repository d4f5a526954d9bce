import { zeros } from '../prelude.js'

zeros([2], { dtype: 'i32' }).exp()
