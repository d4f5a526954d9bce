export { createReferenceBackend, type ReferenceBackendOptions } from './backend.js'
