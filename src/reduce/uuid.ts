// Thread ids are UUIDs. What is one, and why a text is none, in the words of the reference.

const SIMPLE = /^[0-9a-f]{32}$/i;
const HYPHENATED = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const WRAPPED = [/^(\{)(.*)\}$/s, /^(urn:uuid:)(.*)$/s];
const GROUPS = [8, 4, 4, 4, 12];

/** The lower-case form with hyphens; undefined when it is no UUID. */
export function canonicalUuid(text: string): string | undefined {
  const { inner, wrapped } = unwrap(text);
  if (HYPHENATED.test(inner)) return inner.toLowerCase();
  if (wrapped || !SIMPLE.test(inner)) return undefined;
  return inner.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-').toLowerCase();
}

/** Why `text` is no UUID. */
export function uuidFault(text: string): string {
  const { inner, wrapped, offset } = unwrap(text);
  const odd = /[^0-9a-f-]/iu.exec(inner);
  if (odd !== null) {
    const place = Buffer.byteLength(inner.slice(0, odd.index)) + offset + 1;
    return `invalid character: expected an optional prefix of \`urn:uuid:\` followed by [0-9a-fA-F-], found \`${odd[0]}\` at ${place}`;
  }
  const groups = inner.split('-');
  if (groups.length === 1 && !wrapped) {
    return `invalid length: expected length 32 for simple format, found ${text.length}`;
  }
  if (groups.length !== GROUPS.length) return `invalid group count: expected 5, found ${groups.length}`;
  const group = groups.findIndex(({ length }, index) => length !== GROUPS[index]);
  // The reference counts the wrapping to the last group.
  const found = group < GROUPS.length - 1 ? groups[group]?.length : text.length - 24;
  return `invalid group length in group ${group}: expected ${GROUPS[group]}, found ${found}`;
}

function unwrap(text: string): { inner: string; wrapped: boolean; offset: number } {
  for (const form of WRAPPED) {
    const [, before, inner] = form.exec(text) ?? [];
    if (before !== undefined && inner !== undefined) return { inner, wrapped: true, offset: before.length };
  }
  return { inner: text, wrapped: false, offset: 0 };
}
