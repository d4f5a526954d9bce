import { createWasmBackend } from '#wasm'
import { Device, provideDefaultDevice } from '../tensor/device.js'

provideDefaultDevice(() => new Device(createWasmBackend()))
