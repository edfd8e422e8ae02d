// The Huffman code of HPACK (RFC 7541, section 5.2 and appendix B).

/**
 * Bits of the code of each byte value, and last of the end of a string: digits of base 36. The code is canonical, so that the lengths
 * are all of it: codes of one length follow each other in the order of their values.
 */
const LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f' +
  '56565666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqq' +
  'kjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu';

const END_OF_STRING = 256;

/** A binary tree: of node n, the child for a bit is at 2n + bit, and a value v stands as -1 - v. */
const TREE = buildTree();

function buildTree(): Int16Array {
  const lengths = Array.from(LENGTHS, (digit) => Number.parseInt(digit, 36));
  const symbols = [...lengths.keys()].sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0) || a - b);
  const tree = new Int16Array(2 * lengths.length);
  let nodes = 1;
  let code = 0;
  let codeBits = lengths[symbols[0] ?? 0] ?? 0;
  for (const symbol of symbols) {
    const bits = lengths[symbol] ?? 0;
    code *= 2 ** (bits - codeBits);
    codeBits = bits;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit -= 1) {
      const at = 2 * node + ((code >>> bit) & 1);
      if (tree[at] === 0) {
        tree[at] = nodes;
        nodes += 1;
      }
      node = tree[at] ?? 0;
    }
    tree[2 * node + (code & 1)] = -1 - symbol;
    code += 1;
  }
  return tree;
}

/** Undefined when `coded` holds the end of a string, or ends in anything but up to seven bits of its beginning, all ones. */
export function huffmanDecode(coded: Uint8Array): Buffer | undefined {
  // The shortest code has five bits.
  const decoded = Buffer.allocUnsafe(Math.ceil((coded.length * 8) / 5));
  let length = 0;
  let node = 0;
  let bitsInNode = 0;
  let areOnes = true;
  for (const byte of coded) {
    for (let shift = 7; shift >= 0; shift -= 1) {
      const bit = (byte >> shift) & 1;
      const next = TREE[2 * node + bit] ?? 0;
      if (next >= 0) {
        node = next;
        bitsInNode += 1;
        areOnes &&= bit === 1;
        continue;
      }
      const symbol = -1 - next;
      if (symbol === END_OF_STRING) return undefined;
      decoded[length] = symbol;
      length += 1;
      node = 0;
      bitsInNode = 0;
      areOnes = true;
    }
  }
  return bitsInNode > 7 || !areOnes ? undefined : decoded.subarray(0, length);
}
