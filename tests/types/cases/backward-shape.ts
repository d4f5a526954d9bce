import { zeros } from '../prelude.js'

zeros([2, 3]).trace().backward()
