import { linear, zeros } from '../prelude.js'

linear(512, 128).forward(zeros([32, 784]))
