// The kernel's description of its types (BTF, linux/btf.h), as far as it numbers functions.

const magic = 0xeb9f;
const headerBytes = 24;
const typeBytes = 12;
const functionKind = 12;

/** By kind: bytes that follow the type, and bytes that follow for each of its members. */
const more: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  1: [4, 0],
  3: [12, 0],
  4: [0, 12],
  5: [0, 12],
  6: [0, 8],
  13: [0, 8],
  14: [4, 0],
  15: [0, 12],
  17: [4, 0],
  19: [0, 12],
};

/** The number of the function in `btf`; undefined when it has none, or is no BTF of this byte order. */
export function functionId(btf: Buffer, name: string): number | undefined {
  if (btf.length < headerBytes || btf.readUInt16LE(0) !== magic) return undefined;
  const data = btf.readUInt32LE(4);
  const types = data + btf.readUInt32LE(8);
  const strings = data + btf.readUInt32LE(16);
  const end = Math.min(types + btf.readUInt32LE(12), btf.length);
  const wanted = Buffer.from(`${name}\0`);
  for (let at = types, id = 1; at + typeBytes <= end; id++) {
    const info = btf.readUInt32LE(at + 4);
    const kind = (info >>> 24) & 0x1f;
    const text = strings + btf.readUInt32LE(at);
    if (kind === functionKind && btf.subarray(text, text + wanted.length).equals(wanted)) return id;
    const [fixed, each] = more[kind] ?? [0, 0];
    at += typeBytes + fixed + each * (info & 0xffff);
  }
  return undefined;
}
