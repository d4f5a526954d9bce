import { describe, expect, test } from 'vitest'
import { parseShardIndex, shardIndexText } from '../../../src/io/streaming/shard-index.js'
import { FormatError } from '../../../src/tensor/errors.js'

describe('the index of a sharded model', () => {
  test('says in which file each tensor is', () => {
    const files = new Map([
      ['b.weight', 'model-00002-of-00002.safetensors'],
      ['a', 'sub/model-00001-of-00002.safetensors'],
      ['__proto__', 'model..safetensors'],
    ])
    const text = shardIndexText(files, 1e12)
    expect(parseShardIndex(text, 'x')).toEqual(files)
    expect(JSON.parse(text)).toMatchObject({ metadata: { total_size: 1e12 } })
  })

  test.each([
    ['not JSON', '{"weight_map"', /must be JSON \(.*\); the file is damaged/],
    ['a list', '[]', /needs a "weight_map" object; it is another JSON file/],
    ['no map', '{"metadata":{}}', /needs a "weight_map" object/],
    ['a list for a map', '{"weight_map":["a"]}', /needs a "weight_map" object/],
    ['a number for a file', '{"weight_map":{"w":3}}', /"w" should be in a file beside the index, got "3"/],
    ['nothing for a file', '{"weight_map":{"w":""}}', /got ""/],
    ['a file above', '{"weight_map":{"w":"../secret"}}', /got "\.\.\/secret"; the index is damaged/],
    ['a file above, further in', '{"weight_map":{"w":"a/../../b"}}', /beside the index/],
    ['a file above on Windows', '{"weight_map":{"w":"..\\\\b"}}', /beside the index/],
    ['an absolute file', '{"weight_map":{"w":"/etc/passwd"}}', /beside the index/],
    ['a file on a drive', '{"weight_map":{"w":"C:x"}}', /beside the index/],
  ])('is refused: %s', (_, text, message) => {
    const read = () => parseShardIndex(text, 'dir/model.safetensors.index.json')
    expect(read).toThrow(FormatError)
    expect(read).toThrow(message)
    expect(read).toThrow(/^dir\/model\.safetensors\.index\.json: /)
  })
})
