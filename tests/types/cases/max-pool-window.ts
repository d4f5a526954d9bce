import { maxPool2d, zeros } from '../prelude.js'

maxPool2d(3).forward(zeros([32, 16, 2, 8]))
