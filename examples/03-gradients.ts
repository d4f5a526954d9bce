// Gradients are values. A tape starts at .trace(); backward() uses it up and returns what was asked for.
import { tensor } from 'dfdt'

const x = tensor([1, 2, 3])
const loss = x.trace().square().sum() // Tensor<[], 'f32', 'taped'>
const gradients = loss.backward()
console.log(await gradients.get(x).array()) // d(Σx²)/dx = 2x

// x.square().sum().backward() does not compile: "backward() needs a taped tensor: call .trace() on the input first; …"
// x.trace().square().backward() does not compile: "backward() needs a scalar, got shape [3]: reduce with .mean() or .sum()"

const again = x.trace()
const first = again.mul(again).mean().backward()
const both = again.detach().trace().exp().sum().backward()
console.log(await first.get(x).array())
both.dispose()
