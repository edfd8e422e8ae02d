// Byte patterns of the wanted functions: what the compilers of the official Codex binaries, of their OpenSSL, of
// their aws-lc and of their ring made of them. Distances of calls and jumps are left free.

import type { Arch } from './headers.js';
import type { recordSymbols } from './tls-function.js';

type RecordSymbols = typeof recordSymbols;
export type RecordSymbol = {
  [Library in keyof RecordSymbols]: RecordSymbols[Library][keyof RecordSymbols[Library]];
}[keyof RecordSymbols];

export type WantedFunction =
  | 'SSL_write_ex'
  | 'SSL_read_ex'
  | 'SSL_write'
  | 'SSL_read'
  | 'SSL_do_handshake'
  | RecordSymbol;

export interface BytePattern {
  function: WantedFunction;
  /** Where the function ends in a jump into another one, if it does: the place of the jump. */
  jumpAt: number | undefined;
  bytes: Buffer;
  /** Which bits of each byte count. */
  mask: Buffer;
}

/** `?` stands for any hexadecimal digit, `>` for the start of a jump into another function. */
function pattern(name: WantedFunction, text: string): BytePattern {
  const [before = '', after] = text.replace(/\s+/g, '').split('>');
  const digits = before + (after ?? '');
  return {
    function: name,
    jumpAt: after === undefined ? undefined : before.length / 2,
    bytes: Buffer.from(digits.replaceAll('?', '0'), 'hex'),
    mask: Buffer.from(digits.replace(/[^?]/g, 'f').replaceAll('?', '0'), 'hex'),
  };
}

/** Code that two functions share: something else has to tell which is which. */
const both = (one: WantedFunction, other: WantedFunction, text: string): BytePattern[] => [
  pattern(one, text),
  pattern(other, text),
];

// gcc makes SSL_write_ex a jump into SSL_write_ex2, which has the very code of SSL_read_ex: only the jump tells them
// apart.
const x8664: readonly BytePattern[] = [
  pattern('SSL_write_ex', 'f30f1efa 4989c8 31c9 > e9????????'),
  pattern('SSL_read_ex', 'f30f1efa 4883ec08 e8???????? 31d2 85c0 0f48c2 4883c408 c3'),
  pattern('SSL_write_ex', '554889e5 53 50 4989c8 31db 31c9 e8???????? 85c0 0f4ec3 4883c408 5b 5d c3'),
  pattern('SSL_read_ex', '554889e5 e8???????? 31c9 85c0 0f4ec1 5d c3'),
  pattern(
    'SSL_do_handshake',
    `f30f1efa 55 53 4883ec38 64488b042528000000 4889442428 31c0 4885ff 74?? 8b07 4889fb 85c0 75?? 4889fd
     48837d?? 00 0f84???????? beffffffff`,
  ),
  pattern(
    'SSL_do_handshake',
    '554889e5 4157 4156 53 4883ec28 41beffffffff 4885ff 0f84???????? 4889fb 8b07 85c0 74?? 84c0 78?? 31ff 84c0',
  ),
  pattern('EVP_AEAD_CTX_seal', '554889e5 4157 4156 4154 53 4883ec40 4989ce 4889d3 4989f7 4c8b6518 4c8b17'),
  pattern(
    'EVP_AEAD_CTX_open',
    '554889e5 4157 4156 4155 4154 53 4883ec18 4989ce 4889d3 4989f7 4c8b6d18 488b4510 4839f0 74',
  ),
  pattern(
    'EVP_AEAD_CTX_seal_scatter',
    '554889e5 4157 4156 4155 4154 53 50 4d89c6 4889cb 4989d7 4989f4 4c8b6d20 488b4518 4a8d0c28',
  ),
  // Rust's: the address of the result comes first, then the key, whose kind is looked at before all else. What opens
  // passes one word more on. The functions of ChaCha20-Poly1305 begin alike: ring's tables tell them apart.
  pattern(
    'ring::aead::aes_gcm_seal',
    '53 4883ec10 833e?? 74?? 4889fb 488b442420 48890424 e8???????? 4889d8 4883c410 5b c3',
  ),
  pattern(
    'ring::aead::aes_gcm_open',
    '53 833e?? 74?? 4889fb ff742418 ff742418 e8???????? 4883c410 4889d8 5b c3',
  ),
  ...both(
    'ring::aead::chacha20_poly1305_seal',
    'ring::aead::chacha20_poly1305_open',
    '554889e5 4157 4156 4155 4154 53 4883e4c0 4881ec????0000 833e?? 0f85????0000',
  ),
];

const aarch64: readonly BytePattern[] = [
  pattern('SSL_write_ex', 'e40303aa 030080d2 > ??????1?'),
  pattern('SSL_read_ex', 'fd7bbfa9 fd030091 ??????9? 1f000071 00a09f1a fd7bc1a8 c0035fd6'),
  pattern('SSL_write_ex', 'fd7bbfa9 fd030091 e40303aa e3031faa ??????9? 007ca00a fd7bc1a8 c0035fd6'),
  pattern('SSL_read_ex', 'fd7bbfa9 fd030091 ??????9? 007ca00a fd7bc1a8 c0035fd6'),
  pattern(
    'SSL_do_handshake',
    `ff4301d1 ???????? ??????f9 fd7b03a9 fdc30091 220040f9 e21700f9 020080d2 ??????b4 010040b9 f35304a9
     f30300aa ??????35 f40300aa 80??40f9 ??????b4 e00314aa 01008012 ??????9? ??????34 620e40f9 01008052`,
  ),
  pattern(
    'SSL_do_handshake',
    `ff4301d1 fd7b03a9 f44f04a9 fdc30091 ??????b4 080040b9 f30300aa f40300aa ??????34 ??????37 f4031faa`,
  ),
  pattern(
    'EVP_AEAD_CTX_seal',
    'ff8301d1 fd7b03a9 f65704a9 f44f05a9 fdc30091 090040f9 f40303aa f30302aa f50301aa 28094039 ff0008ab',
  ),
  pattern(
    'EVP_AEAD_CTX_open',
    'ff4301d1 fd7b01a9 f85f02a9 f65703a9 f44f04a9 fd430091 f40301aa f50303aa f30302aa df0001eb',
  ),
  pattern(
    'EVP_AEAD_CTX_seal_scatter',
    'ffc301d1 fd7b03a9 f72300f9 f65705a9 f44f06a9 fdc30091 b72340f9 f60301aa f40304aa f30303aa f50302aa',
  ),
  // Either only jumps to where the work is done: the newer ones look the same.
  pattern('ring::aead::aes_gcm_seal', '0a0040f9 5f0d00f1 ??????54 e90300aa e60305aa e50304aa e40303aa'),
  pattern('ring::aead::aes_gcm_open', '0a0040f9 5f0d00f1 ??????54 e90300aa e70306aa e60305aa e50304aa'),
  ...both(
    'ring::aead::aes_gcm_seal',
    'ring::aead::aes_gcm_open',
    '090040f9 3f0d00f1 40000054 ??????1? fd7bbfa9 fd030091',
  ),
  pattern(
    'ring::aead::chacha20_poly1305_seal',
    'ff8301d1 fd7b04a9 f32b00f9 fd030191 0b0040f9 7f0d00f1 ??????54 f30308aa',
  ),
  pattern(
    'ring::aead::chacha20_poly1305_open',
    'ff4301d1 fd7b03a9 f32300f9 fdc30091 0a0040f9 5f0d00f1 ??????54 e90303aa e30302aa f30308aa a20006eb',
  ),
];

/** The first bytes of a function, as a number: all patterns know them whole. */
const startBytes = 3;

function startOf(code: Buffer, at: number): number {
  return (code[at] ?? 0) | ((code[at + 1] ?? 0) << 8) | ((code[at + 2] ?? 0) << 16);
}

function byStart(patterns: readonly BytePattern[]): ReadonlyMap<number, readonly BytePattern[]> {
  const groups = new Map<number, BytePattern[]>();
  for (const one of patterns) {
    if (one.mask.subarray(0, startBytes).some((bits) => bits !== 0xff)) {
      throw new RangeError(`a pattern of ${one.function} begins with what is left free`);
    }
    const start = startOf(one.bytes, 0);
    groups.set(start, [...(groups.get(start) ?? []), one]);
  }
  return groups;
}

const patternsByStart: Readonly<Record<Arch, ReadonlyMap<number, readonly BytePattern[]>>> = {
  x86_64: byStart(x8664),
  aarch64: byStart(aarch64),
};
const none: readonly BytePattern[] = [];

/** Most bytes that a pattern looks at. */
export const maxPatternBytes = Math.max(...[...x8664, ...aarch64].map(({ bytes }) => bytes.length));

/** The patterns that the code at `at` is what they say. */
export function patternsAt(arch: Arch, code: Buffer, at: number): readonly BytePattern[] {
  const candidates = patternsByStart[arch].get(startOf(code, at));
  return candidates?.filter((candidate) => isPatternAt(code, at, candidate)) ?? none;
}

function isPatternAt(code: Buffer, at: number, { bytes, mask }: BytePattern): boolean {
  if (at + bytes.length > code.length) return false;
  for (let i = 0; i < bytes.length; i++) {
    if (((code[at + i] ?? 0) & (mask[i] ?? 0)) !== bytes[i]) return false;
  }
  return true;
}
