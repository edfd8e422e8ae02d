// Which Codex and which TLS libraries a program holds, by the strings in its read-only data.

import type { BinaryFile } from './file.js';

/**
 * Texts that Codex's own version follows in the official binaries, each in some releases, all of them together in
 * every one from 0.50 to 0.169. Rust stores strings end to end without a terminator, so which text precedes
 * the version depends on the release; `codex-cli 1.2.3`, which the program prints, is put together at run time.
 */
const codexAnchors = [
  'codex-mcp-client/',
  'codex-doctor/',
  'Update available!',
  'codex.plugin_install_elicitation_sent',
  'web_search_mode',
  'failed to queue rollout items: ',
  'from some MCP servers: ',
];
/** Codex's name for itself in its requests; without it those texts are somebody else's. */
const codexName = 'codex_cli_rs';
const opensslAnchor = 'OpenSSL ';
const awslcAnchor = 'aws-lc/crypto/fipsmodule/cipher/aead.c\0';
/** Rust names source files where code may panic, with the directory of the package before them. */
const ringAnchor = '/src/aead/algorithm.rs';
const rustlsAnchor = '/rustls-0.';

const codexVersion = /^(?:~TMPDIR)?(\d{1,4}\.\d{1,4}\.\d{1,4}(?:-(?:alpha|beta|rc)(?:\.\d{1,4})?)?)/;
const opensslVersion = /^OpenSSL (\d+\.\d+\.\d+[\w.+-]{0,16}) {1,2}\d{1,2} [A-Z][a-z]{2} \d{4}/;
const ringVersion = /(?:^|\/)ring-(\d+\.\d+\.\d+)$/;
const rustlsVersion = /^\/rustls-(\d+\.\d+\.\d+)\/src\//;
/** A Go program keeps the names of its functions; this one writes what the program wants encrypted. */
const goTlsAnchor = '\0crypto/tls.(*Conn).Write\0';
const maxVersionBytes = 64;

const anchors = [
  codexName,
  opensslAnchor,
  awslcAnchor,
  ringAnchor,
  rustlsAnchor,
  goTlsAnchor,
  ...codexAnchors,
];

/** What to search the read-only data for before `readVersions`. */
export const versionNeedles: readonly Buffer[] = anchors.map((anchor) => Buffer.from(anchor));

export interface Versions {
  codex: string | null;
  /** Null when the program holds no OpenSSL, or several. */
  openssl: string | null;
  hasAwslc: boolean;
  hasRing: boolean;
  /** Null when unknown. */
  ring: string | null;
  /** Null when the program holds none, or several. */
  rustls: string | null;
  hasGoTls: boolean;
}

/** Of a program in which nothing was looked for. */
export const noVersions: Versions = {
  codex: null,
  openssl: null,
  hasAwslc: false,
  hasRing: false,
  ring: null,
  rustls: null,
  hasGoTls: false,
};

/** `places`: the file offsets of each of `versionNeedles`. */
export function readVersions(file: BinaryFile, places: readonly (readonly number[])[]): Versions {
  const placesOf = (anchor: string) => places[anchors.indexOf(anchor)] ?? [];
  const textAt = (offset: number) =>
    file.read(offset, Math.min(maxVersionBytes, file.size - offset)).toString('latin1');
  const textBefore = (offset: number) => {
    const length = Math.min(maxVersionBytes, offset);
    return file.read(offset - length, length).toString('latin1');
  };
  const candidates = (anchor: string, pattern: RegExp, textOf: (place: number) => string) =>
    placesOf(anchor).map((place) => pattern.exec(textOf(place))?.[1]);
  const codexCandidates = codexAnchors.flatMap((anchor) =>
    placesOf(anchor).map((place) => codexVersion.exec(textAt(place + anchor.length))?.[1]),
  );
  return {
    codex: placesOf(codexName).length === 0 ? null : mostFrequent(codexCandidates),
    openssl: mostFrequent(candidates(opensslAnchor, opensslVersion, textAt)),
    hasAwslc: placesOf(awslcAnchor).length > 0,
    hasRing: placesOf(ringAnchor).length > 0,
    ring: mostFrequent(candidates(ringAnchor, ringVersion, textBefore)),
    rustls: mostFrequent(candidates(rustlsAnchor, rustlsVersion, textAt)),
    hasGoTls: placesOf(goTlsAnchor).length > 0,
  };
}

/** The value found most often; null when there is none, or two equally often. */
function mostFrequent(values: readonly (string | undefined)[]): string | null {
  const counts = new Map<string, number>();
  for (const value of values) {
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  const [first, second] = [...counts].sort(([, a], [, b]) => b - a);
  return first === undefined || first[1] === second?.[1] ? null : first[0];
}
