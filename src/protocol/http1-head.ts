// Start lines, header fields and body framing of HTTP/1.1 messages (RFC 9112). Pure functions over decoded
// lines; where lines begin and end in a byte stream is http1.ts.

/** Header fields in wire order, names in lower case. */
export type HeaderFields = readonly (readonly [name: string, value: string])[];

export interface RequestHead {
  /** This and the target are empty when they are among the unknown fields of HTTP/2. */
  method: string;
  target: string;
  headers: HeaderFields;
  /** Fields are missing: HTTP/2 whose beginning was not seen. */
  isPartial?: boolean;
}

export interface ResponseHead {
  status: number;
  reason: string;
  headers: HeaderFields;
  isPartial?: boolean;
}

/** How a message's body is delimited. */
export type Framing =
  | { kind: 'none' }
  | { kind: 'length'; bytes: number }
  | { kind: 'chunked' }
  | { kind: 'until-close' }
  /** After the head the connection speaks another protocol. */
  | { kind: 'upgrade' }
  /** After the head it is one to somebody else: CONNECT. */
  | { kind: 'tunnel' }
  /** Informational (1xx): the real response follows. */
  | { kind: 'interim' }
  | { kind: 'invalid' };

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP\/1\.[01]$/;
const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;
/** More digits than this exceed what a number holds exactly. */
const LENGTH = /^\d{1,15}$/;

export function parseRequestLine(line: string): { method: string; target: string } | undefined {
  const match = REQUEST_LINE.exec(line);
  const [, method, target] = match ?? [];
  return method === undefined || target === undefined ? undefined : { method, target };
}

export function parseStatusLine(line: string): { status: number; reason: string } | undefined {
  const match = STATUS_LINE.exec(line);
  const [, status, reason] = match ?? [];
  return status === undefined ? undefined : { status: Number(status), reason: reason ?? '' };
}

/** What may become a request line when more bytes come, each byte a character. */
const PART_OF_REQUEST_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}( [\x21-\x7e\x80-\xff]*( [HTP/1.0]*\r?)?)?$/;

/** Whether a line that begins with `part`, each byte a character, can be a request line. */
export function mayBecomeRequestLine(part: string): boolean {
  return PART_OF_REQUEST_LINE.test(part);
}

/** Whether a line that begins with `part` can be a status line. */
export function mayBecomeStatusLine(part: string): boolean {
  const shape = 'HTTP/0.0 000';
  return shape.startsWith(part.slice(0, shape.length).replaceAll(/\d/g, '0'));
}

/** The fields of a head or trailer section, folded lines joined; undefined when a line is not a field. */
export function parseFields(lines: readonly string[]): HeaderFields | undefined {
  const fields: [string, string][] = [];
  for (const line of lines) {
    const last = fields.at(-1);
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (last === undefined) return undefined;
      last[1] = `${last[1]} ${line.trim()}`;
      continue;
    }
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    fields.push([name.toLowerCase(), value]);
  }
  return fields;
}

/** The value of the first field called `name` (lower case). */
export function field(headers: HeaderFields, name: string): string | undefined {
  for (const [key, value] of headers) if (key === name) return value;
  return undefined;
}

/** The elements of all fields called `name`, in lower case: `gzip, chunked` is two. */
function fieldList(headers: HeaderFields, name: string): string[] {
  const elements: string[] = [];
  for (const [key, value] of headers) {
    if (key !== name) continue;
    for (const element of value.split(',')) {
      const trimmed = element.trim().toLowerCase();
      if (trimmed !== '') elements.push(trimmed);
    }
  }
  return elements;
}

/** The codings to undo before the body can be read, outermost last; empty for a plain body. */
export function bodyCodings(headers: HeaderFields): string[] {
  const codings = fieldList(headers, 'content-encoding').filter((coding) => coding !== 'identity');
  return [...codings, ...fieldList(headers, 'transfer-encoding').filter((coding) => coding !== 'chunked')];
}

/** RFC 9112 section 6.3 for a request. */
export function requestFraming(head: RequestHead): Framing {
  return declaredFraming(head.headers) ?? { kind: 'none' };
}

/** RFC 9112 section 6.3 for the response to a request with `method` (undefined when that is not known). */
export function responseFraming(head: ResponseHead, method: string | undefined): Framing {
  const { status } = head;
  if (status === 101) return { kind: 'upgrade' };
  if (status < 200) return { kind: 'interim' };
  if (method === 'CONNECT' && status < 300) return { kind: 'tunnel' };
  if (method === 'HEAD' || status === 204 || status === 304) return { kind: 'none' };
  return declaredFraming(head.headers) ?? { kind: 'until-close' };
}

function declaredFraming(headers: HeaderFields): Framing | undefined {
  const codings = fieldList(headers, 'transfer-encoding');
  if (codings.length > 0) return codings.at(-1) === 'chunked' ? { kind: 'chunked' } : { kind: 'until-close' };
  const lengths = new Set(fieldList(headers, 'content-length'));
  const [length, ...others] = lengths;
  if (length === undefined) return undefined;
  if (others.length > 0 || !LENGTH.test(length)) return { kind: 'invalid' };
  return { kind: 'length', bytes: Number(length) };
}
