import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { linkedTlsLibraries } from '../../src/elf/linked-libraries.js';
import { inspectProgram } from '../../src/elf/program.js';
import { functionOffsets, openWorkshop } from './build.js';

const workshop = openWorkshop();
afterAll(workshop.close);

const tls = `
  int SSL_write(void) { return 1; } int SSL_read(void) { return 2; }
  int SSL_write_ex(void) { return 3; } int SSL_read_ex(void) { return 4; }`;
mkdirSync(workshop.path('lib'));
const bare = ['-shared', '-fPIC', '-nostdlib'];
const libssl = workshop.compile('lib/libssl.so.81', tls, [...bare, '-Wl,-soname,libssl.so.81']);
workshop.compile('lib/libhttp.so', 'int SSL_write(void); int get(void) { return SSL_write(); }', [
  ...bare,
  '-Wl,-soname,libhttp.so',
  libssl,
]);
const main = 'int get(void); int main(void) { return get(); }';

function link(name: string, ...flags: string[]): string {
  return workshop.compile(name, main, [
    workshop.path('lib/libhttp.so'),
    `-Wl,-rpath-link,${workshop.path('lib')}`,
    ...flags,
  ]);
}

const rpath = (directory: string) => ['-Wl,--disable-new-dtags', `-Wl,-rpath,${directory}`];

describe('linked TLS libraries', () => {
  it.each([
    ['from the directory of the program', rpath('$ORIGIN/lib')],
    ['in braces', rpath('/nowhere:$' + '{ORIGIN}/lib')],
    ['from a fixed directory', rpath(workshop.path('lib'))],
  ])('are followed through other libraries, %s', (name, flags) => {
    expect(linkedTlsLibraries(link(`to ${name}`, ...flags))).toEqual([libssl]);
  });

  it('are none where the loader would find none', () => {
    expect(linkedTlsLibraries(link('lost', ...rpath('/nowhere')))).toEqual([]);
  });

  it('are none of a program that is linked statically', () => {
    const path = workshop.compile('static', 'int main(void) { return 0; }', ['-static']);
    expect(linkedTlsLibraries(path)).toEqual([]);
  });

  it('are passed over when they are no libraries', () => {
    mkdirSync(workshop.path('broken'));
    writeFileSync(workshop.path('broken/libhttp.so'), '/* GNU ld script */');
    const path = link('to broken', ...rpath(`${workshop.path('broken')}:${workshop.path('lib')}`));
    expect(linkedTlsLibraries(path)).toEqual([libssl]);
  });

  it('are reported with their own files', () => {
    const path = link('reported', ...rpath('$ORIGIN/lib'));
    const report = inspectProgram(path);
    const offsets = functionOffsets(libssl);
    expect(report).toMatchObject({ path, launcher: null, tls: [] });
    expect(report.linked).toMatchObject([{ path: libssl, tls: [{ library: 'openssl', tier: 'symbol' }] }]);
    expect(report.linked[0]?.tls[0]?.offsets).toMatchObject({ ssl_write: offsets.get('SSL_write_ex') });
    expect(inspectProgram(path, { tier: 'table' }).linked).toEqual([]);
  });

  it.runIf(process.platform === 'linux')('are those of a process whose program was replaced', async () => {
    const source = `${main.replace('return get();', 'return sleep(60) + get();')}\nunsigned sleep(unsigned);`;
    const path = workshop.compile('running', `unsigned sleep(unsigned); ${source}`, [
      workshop.path('lib/libhttp.so'),
      `-Wl,-rpath-link,${workshop.path('lib')}`,
      ...rpath('$ORIGIN/lib'),
    ]);
    const child = spawn(path, { stdio: 'ignore' });
    try {
      await once(child, 'spawn');
      const exe = `/proc/${child.pid}/exe`;
      const root = `/proc/${child.pid}/root`;
      expect(linkedTlsLibraries(exe)).toEqual([`${root}${libssl}`]);
      rmSync(path);
      writeFileSync(path, 'another file');
      const report = inspectProgram(exe);
      expect(report).toMatchObject({ path: exe, tls: [], linked: [{ path: `${root}${libssl}` }] });
    } finally {
      child.kill();
    }
  });

  it('hold what the program was only built against', () => {
    const version = 'const char *version = "OpenSSL 3.0.22 1 Jan 2026";';
    const source = `${version} int SSL_write(void); int main(void) { return SSL_write() + version[0]; }`;
    const path = workshop.compile('built against', source, [libssl, ...rpath('$ORIGIN/lib')]);
    expect(inspectProgram(path)).toMatchObject({ tls: [], unseen: [], linked: [{ path: libssl }] });
    const alone = workshop.compile('alone', `${version} int main(void) { return version[0]; }`, []);
    expect(inspectProgram(alone)).toMatchObject({
      tls: [{ library: 'openssl', version: '3.0.22', tier: null }],
    });
  });

  it('are not followed by a program that holds the functions itself', () => {
    const path = workshop.compile('own', `${main} ${tls}`, [
      workshop.path('lib/libhttp.so'),
      `-Wl,-rpath-link,${workshop.path('lib')}`,
      ...rpath('$ORIGIN/lib'),
    ]);
    const report = inspectProgram(path);
    expect(report.tls).toMatchObject([{ tier: 'symbol' }]);
    expect(report.linked).toEqual([]);
  });
});
