// OpenSSL's plaintext functions and the two forms in which they are given: a list for those who attach probes,
// the offsets object of the tables for those who exchange them.

export type Tier = 'symbol' | 'pattern' | 'table';

export interface TlsFunction {
  name: 'ssl_write' | 'ssl_read' | 'ssl_do_handshake';
  /** The `_ex` variant: four arguments, the count of bytes at return through the fourth. */
  isEx: boolean;
  /** In bytes from the start of the file, as a uprobe wants it. */
  offset: number;
}

/** One write and one read function, each flagged. Null: that function was not found. */
export interface OpensslOffsets {
  ssl_write: number | null;
  ssl_read: number | null;
  ssl_do_handshake: number | null;
  write_is_ex: boolean;
  read_is_ex: boolean;
}

export interface AwslcOffsets {
  /** EVP_AEAD_CTX_seal */
  aead_seal: number;
  /** EVP_AEAD_CTX_open */
  aead_open: number;
}

const symbolNames = { ssl_write: 'SSL_write', ssl_read: 'SSL_read', ssl_do_handshake: 'SSL_do_handshake' };

/** The name that the function has in OpenSSL. */
export function symbolName({ name, isEx }: Pick<TlsFunction, 'name' | 'isEx'>): string {
  return isEx ? `${symbolNames[name]}_ex` : symbolNames[name];
}

/** Where a function is there in both variants, the `_ex` one is given. */
export function opensslOffsets(functions: readonly TlsFunction[]): OpensslOffsets {
  const preferEx = (name: TlsFunction['name']) => {
    const named = functions.filter((candidate) => candidate.name === name);
    return named.find(({ isEx }) => isEx) ?? named[0];
  };
  const write = preferEx('ssl_write');
  const read = preferEx('ssl_read');
  return {
    ssl_write: write?.offset ?? null,
    ssl_read: read?.offset ?? null,
    ssl_do_handshake: preferEx('ssl_do_handshake')?.offset ?? null,
    write_is_ex: write?.isEx ?? false,
    read_is_ex: read?.isEx ?? false,
  };
}
