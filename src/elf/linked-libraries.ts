// The TLS libraries that a program has the loader load: which files they are, by the rules of ld.so as far as files
// alone tell them. What a running process has really loaded is in its memory map, which src/capture reads.

import { existsSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AgsightError } from '../errors.js';
import { createAddressMap } from './address-map.js';
import { type DynamicSection, readDynamicSection } from './dynamic.js';
import { BinaryFile } from './file.js';
import { type Arch, readHeaders } from './headers.js';

const maxLibraries = 512;
const tlsLibrary = /^lib(?:ssl|gnutls)(?:[.-].*)?\.so/;
/** Other TLS libraries: names of their files, and of themselves. */
const foreignLibraries: readonly [RegExp, string][] = [
  [/^libssl3\.so/, 'nss'],
  [/^libmbedtls\.so/, 'mbedtls'],
  [/^libwolfssl\.so/, 'wolfssl'],
  [/^libs2n\.so/, 's2n'],
];
/** Where distributions keep libraries; the loader's cache knows these, too. */
const systemDirectories: Readonly<Record<Arch, readonly string[]>> = {
  x86_64: ['/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu'],
  aarch64: ['/lib/aarch64-linux-gnu', '/usr/lib/aarch64-linux-gnu'],
};
const commonDirectories = ['/lib64', '/usr/lib64', '/lib', '/usr/lib', '/usr/local/lib'];

/** Where the loader looks for the libraries of a program, beside where that says itself. */
export function libraryDirectories(arch: Arch): readonly string[] {
  return [...systemDirectories[arch], ...commonDirectories];
}

/**
 * The files of libssl and GnuTLS that the program at `path` is linked to, also through other libraries.
 *
 * @throws AgsightError as `readHeaders`, for `path` itself; a library that cannot be read is passed over
 */
export function linkedTlsLibraries(path: string): string[] {
  return linkedLibraries(path).flatMap(({ name, path: file }) =>
    tlsLibrary.test(name) && file !== undefined ? [file] : [],
  );
}

/** The TLS libraries of other makes that the program is linked to, by their own names; errors as above. */
export function foreignTlsLibraries(path: string): string[] {
  const names = linkedLibraries(path).map(({ name }) => name);
  return foreignLibraries.flatMap(([file, library]) =>
    names.some((name) => file.test(name)) ? [library] : [],
  );
}

/** All libraries that the program is linked to, also through others. `path`: undefined where there is no such file. */
function linkedLibraries(path: string): { name: string; path: string | undefined }[] {
  const found: { name: string; path: string | undefined }[] = [];
  const seen = new Set<string>();
  // A process may see other files than we do; its program is looked at from where it stands.
  const root = /^\/proc\/\d+(?=\/exe$)/.exec(path)?.[0].concat('/root') ?? '';
  const first = readLinks(path);
  let waiting = [first];
  while (waiting.length > 0 && seen.size < maxLibraries) {
    const next: Links[] = [];
    for (const { dynamic, directories } of waiting) {
      for (const name of dynamic?.needed ?? []) {
        if (seen.has(name) || seen.size >= maxLibraries) continue;
        seen.add(name);
        const library = locate(name, [...directories, ...first.directories], first.arch, root);
        found.push({ name, path: library?.path });
        if (library !== undefined) next.push(library);
      }
    }
    waiting = next;
  }
  return found;
}

interface Links {
  path: string;
  arch: Arch;
  dynamic: DynamicSection | undefined;
  directories: string[];
}

function readLinks(path: string): Links {
  const file = BinaryFile.open(path);
  try {
    const headers = readHeaders(file);
    const dynamic = readDynamicSection(file, headers, createAddressMap(headers.segments));
    const directories = (dynamic?.searchPath ?? '')
      .split(':')
      .filter((directory) => directory !== '')
      .map((directory) => directory.replace(/\$(?:ORIGIN|\{ORIGIN\})/g, () => originOf(path)));
    return { path, arch: headers.arch, dynamic, directories };
  } finally {
    file.close();
  }
}

/** The directory of the file behind `path`, which may be the program of a process whose file is gone. */
function originOf(path: string): string {
  try {
    return dirname(realpathSync(path));
  } catch {
    return dirname(/^\/proc\/\d+\/exe$/.test(path) ? readlinkSync(path) : path);
  }
}

function locate(name: string, directories: readonly string[], arch: Arch, root: string): Links | undefined {
  const candidates = name.includes('/')
    ? [name]
    : [...directories, ...libraryDirectories(arch)].map((directory) => join(directory, name));
  for (const candidate of candidates.map((path) => join(root, path))) {
    if (!existsSync(candidate)) continue;
    try {
      const links = readLinks(candidate);
      if (links.arch === arch) return links;
    } catch (error) {
      // A linker script, or a library of another kind: the loader, too, would look further.
      if (!(error instanceof AgsightError)) throw error;
    }
  }
  return undefined;
}
