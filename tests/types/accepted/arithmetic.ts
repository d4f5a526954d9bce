import {
  type Add,
  check,
  type Dim,
  type Div,
  type Equal,
  type Lte,
  type Mod,
  type Mul,
  type Product,
  type Sub,
} from '../prelude.js'

check<Equal<Add<999, 1>, 1000>>()
check<Equal<Add<1, 999>, 1000>>()
check<Equal<Add<123456789, 987654321>, 1111111110>>()
check<Equal<Add<0, 5>, 5>>()
check<Equal<Add<5, 0>, 5>>()
check<Equal<Add<95, 5>, 100>>()
check<Equal<Add<5, 95>, 100>>()
check<Equal<Add<number, 5>, number>>()
check<Equal<Sub<1000, 1>, 999>>()
check<Equal<Sub<1000, 1000>, 0>>()
check<Equal<Sub<3, 5>, never>>()
check<Equal<Sub<1000000000, 999999999>, 1>>()
check<Equal<Sub<224, 7>, 217>>()
check<Equal<Mul<784, 512>, 401408>>()
check<Equal<Mul<99999, 99999>, 9999800001>>()
check<Equal<Mul<0, 5>, 0>>()
check<Equal<Mul<5, 0>, 0>>()
check<Equal<Mul<100, 100>, 10000>>()
check<Equal<Mul<31623, 31623>, 1000014129>>()
check<Equal<Mul<7, 8>, 56>>()
check<Equal<Div<224, 2>, 112>>()
check<Equal<Div<225, 2>, 112>>()
check<Equal<Div<1000000000, 7>, 142857142>>()
check<Equal<Div<512, 8>, 64>>()
check<Equal<Div<1000000000, 12345>, 81004>>()
check<Equal<Div<5, 10>, 0>>()
check<Equal<Div<100, 10>, 10>>()
check<Equal<Mod<225, 2>, 1>>()
check<Equal<Mod<1000000000, 12345>, 5620>>()
check<Equal<Mod<100, 10>, 0>>()
check<Equal<Mod<1005, 100>, 5>>()
check<Equal<Lte<5, 10>, true>>()
check<Equal<Lte<11, 10>, false>>()
check<Equal<Lte<10, 10>, true>>()
check<Equal<Lte<number, 10>, boolean>>()
check<Equal<Product<[2, 3, 4]>, 24>>()
check<Equal<Product<[]>, 1>>()
check<Equal<Product<[512, 7, 7]>, 25088>>()
check<Equal<Product<[2, 0, 7]>, 0>>()
check<Equal<Product<[2, number]>, number>>()
check<Equal<Product<[2, Dim<'b'>]>, number>>()
