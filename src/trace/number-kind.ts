// What a number is to serde_json, which keeps the text of numbers too: it hands them on as integers or floats where these
// say the same, and as what they are written as elsewhere.

import { asInteger, type JsonNumber } from './json-value.js';

const I64_MIN = -0x8000_0000_0000_0000n;
const U64_MAX = 0xffff_ffff_ffff_ffffn;
const I128_MIN = I64_MIN << 64n;
const U128_MAX = (1n << 128n) - 1n;

/** An integer that fits into 64 bits. */
export function isWhole(number: JsonNumber): boolean {
  const integer = asInteger(number);
  return integer !== undefined && integer >= I64_MIN && integer <= U64_MAX;
}

/** The type that an integer needs which fits into 128 bits, but not into 64. */
export function wideType(number: JsonNumber): 'i128' | 'u128' | undefined {
  const integer = asInteger(number);
  if (integer === undefined || isWhole(number) || integer < I128_MIN || integer > U128_MAX) return undefined;
  return integer < 0 ? 'i128' : 'u128';
}

/** The text of a number as a float, when the number is written like one: with the shortest digits, and no others. */
export function floatText({ text }: JsonNumber): string | undefined {
  const number = Number(text);
  if (!Number.isFinite(number)) return undefined;
  const written = writtenFloat(number);
  if (text === written) return written;
  const inFull = !text.includes('e') && !/\.\d*0$/.test(text);
  return inFull && significantDigits(text) === significantDigits(written) ? written : undefined;
}

/** A float as serde_json writes it. */
export function writtenFloat(number: number): string {
  const size = Math.abs(number);
  const written = size >= 1e16 || (size < 1e-5 && size > 0) ? number.toExponential() : String(number);
  const sign = Object.is(number, -0) ? '-' : '';
  return `${sign}${/^-?\d+$/.test(written) ? `${written}.0` : written}`;
}

function significantDigits(text: string): string {
  return text
    .replace(/e.*/, '')
    .replace(/[-.]/g, '')
    .replace(/^0+|0+$/g, '');
}
