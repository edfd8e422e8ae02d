// The plaintext functions of TLS libraries and the forms in which they are given: a list for those who attach
// probes, the offsets object of the tables for those who exchange them.

export type Tier = 'symbol' | 'pattern' | 'table';
export const tiers: readonly Tier[] = ['symbol', 'pattern', 'table'];
/** As a capture asks them, and whoever tells what a capture would do: a program of the table costs its first 64 KiB. */
export const captureTiers: readonly Tier[] = ['table', 'symbol', 'pattern'];

/** `low`: found in one way only, where there are two that could confirm each other. */
export type Confidence = 'high' | 'low';

export interface TlsFunction {
  name: keyof typeof symbolNames;
  /** The `_ex` variant: four arguments, the count of bytes at return through the fourth. */
  isEx: boolean;
  /** In bytes from the start of the file, as a uprobe wants it. */
  offset: number;
  confidence: Confidence;
  /** Where it returns, as file offsets: of functions of Go that move data, which are probed there. */
  returns?: readonly number[];
}

/**
 * The libraries that encrypt whole TLS records for rustls, and the functions by which they do: by the names that these
 * have in tables, the names that they have in the library.
 */
export const recordSymbols = {
  'aws-lc': {
    aead_seal: 'EVP_AEAD_CTX_seal',
    aead_open: 'EVP_AEAD_CTX_open',
    aead_seal_scatter: 'EVP_AEAD_CTX_seal_scatter',
  },
  ring: {
    aes_gcm_seal: 'ring::aead::aes_gcm_seal',
    aes_gcm_open: 'ring::aead::aes_gcm_open',
    chacha20_poly1305_seal: 'ring::aead::chacha20_poly1305_seal',
    chacha20_poly1305_open: 'ring::aead::chacha20_poly1305_open',
  },
} as const;

/** By their names in tables: rustls seals nothing with these but TLS 1.2 over AES-GCM, and the rest is seen without. */
const optionalFunctions: ReadonlySet<string> = new Set(['aead_seal_scatter']);

export type RecordLibraryName = keyof typeof recordSymbols;
export const recordLibraryNames: readonly RecordLibraryName[] = ['aws-lc', 'ring'];

/** File offsets of the functions of a record library, by their names in tables. */
export type RecordOffsets = Readonly<Record<string, number>>;

interface RecordFinding {
  offsets: RecordOffsets;
  confidence: Confidence;
}

/** Null when the library is not there, or not all that it needs is; undefined when the tier cannot tell. */
export type RecordAnswer = RecordFinding | null | undefined;

/** What one tier found. */
export interface Findings {
  /** Of OpenSSL, of libraries with its interface, of GnuTLS and of Go. */
  functions: TlsFunction[];
  records: Record<RecordLibraryName, RecordAnswer>;
  /** Why something is missing, a phrase each. */
  reasons: string[];
  /** Why one of `functions` is missing: of no matter where another tier has found them. */
  doubts: string[];
}

/** One answer for each record library. */
export function eachRecordLibrary<T>(
  answer: (library: RecordLibraryName) => T,
): Record<RecordLibraryName, T> {
  return { 'aws-lc': answer('aws-lc'), ring: answer('ring') };
}

/** One write and one read function, each flagged. Null: that function was not found. */
export interface OpensslOffsets {
  ssl_write: number | null;
  ssl_read: number | null;
  ssl_do_handshake: number | null;
  write_is_ex: boolean;
  read_is_ex: boolean;
}

const symbolNames = {
  ssl_write: 'SSL_write',
  ssl_read: 'SSL_read',
  ssl_do_handshake: 'SSL_do_handshake',
  gnutls_record_send: 'gnutls_record_send',
  gnutls_record_recv: 'gnutls_record_recv',
  gnutls_handshake: 'gnutls_handshake',
  go_tls_write: 'crypto/tls.(*Conn).Write',
  go_tls_read: 'crypto/tls.(*Conn).Read',
  go_tls_client_handshake: 'crypto/tls.(*Conn).clientHandshake',
  go_tls_server_handshake: 'crypto/tls.(*Conn).serverHandshake',
} as const;

/** What is neither of GnuTLS nor of Go is of OpenSSL. */
export const isOfGnutls = ({ name }: Pick<TlsFunction, 'name'>): boolean => name.startsWith('gnutls_');

export const isOfGo = ({ name }: Pick<TlsFunction, 'name'>): boolean => name.startsWith('go_tls_');

/** The name that the function has in its library. */
export function symbolName({ name, isEx }: Pick<TlsFunction, 'name' | 'isEx'>): string {
  return isEx ? `${symbolNames[name]}_ex` : symbolNames[name];
}

/** The functions of a record library: the name in tables first, then the name in the library. */
export function recordFunctions(library: RecordLibraryName): [key: string, symbol: string][] {
  return Object.entries(recordSymbols[library]);
}

/**
 * The functions of a record library that were found. Undefined when one is missing without which connections are not seen.
 *
 * @param offsetOf the file offset of a function by its name in tables
 */
export function recordOffsets(
  library: RecordLibraryName,
  offsetOf: (key: string) => number | undefined,
): RecordOffsets | undefined {
  const offsets: Record<string, number> = {};
  for (const [key] of recordFunctions(library)) {
    const offset = offsetOf(key);
    if (offset !== undefined) offsets[key] = offset;
    else if (!optionalFunctions.has(key)) return undefined;
  }
  return offsets;
}

/** Where a function is there in both variants, the `_ex` one is given. */
export function opensslOffsets(functions: readonly TlsFunction[]): OpensslOffsets {
  const write = preferred(functions, 'ssl_write');
  const read = preferred(functions, 'ssl_read');
  return {
    ssl_write: write?.offset ?? null,
    ssl_read: read?.offset ?? null,
    ssl_do_handshake: preferred(functions, 'ssl_do_handshake')?.offset ?? null,
    write_is_ex: write?.isEx ?? false,
    read_is_ex: read?.isEx ?? false,
  };
}

/** The lower confidence of the two functions in the offsets that carry data. */
export function opensslConfidence(functions: readonly TlsFunction[]): Confidence {
  const carriers = [preferred(functions, 'ssl_write'), preferred(functions, 'ssl_read')];
  return carriers.every((found) => found === undefined || found.confidence === 'high') ? 'high' : 'low';
}

function preferred(functions: readonly TlsFunction[], name: TlsFunction['name']): TlsFunction | undefined {
  const named = functions.filter((candidate) => candidate.name === name);
  return named.find(({ isEx }) => isEx) ?? named[0];
}
