import { afterEach, expect, test, vi } from 'vitest';
import { KernelProgram } from '../../src/bpf/kernel-program.js';
import { beginLoading, takeProgram } from '../../src/capture/head-start.js';
import { defaultRingMib } from '../../src/capture/ring.js';

const usualRing = defaultRingMib * 2 ** 20;
const load = vi.spyOn(KernelProgram, 'load');
const loaded = () => Object.create(KernelProgram.prototype) as KernelProgram;

afterEach(async () => {
  load.mockReset().mockResolvedValue(loaded());
  await takeProgram(usualRing);
  load.mockReset();
});

test('what was begun is taken once', async () => {
  const [first, second] = [loaded(), loaded()];
  load.mockResolvedValueOnce(first).mockResolvedValueOnce(second);
  beginLoading(['--json', 'capture', '--pid', '7']);
  expect(load).toHaveBeenCalledTimes(1);
  expect(await takeProgram(usualRing)).toBe(first);
  expect(await takeProgram(usualRing)).toBe(second);
});

test.each([
  [['reduce', 'capture']],
  [['--json']],
  [['capture', '--help']],
  [['capture', '--pid', '7', '--ring-mib', '1']],
  [['capture', '--ring-mib=1', '--pid', '7']],
])('nothing is begun for %j', (args) => {
  load.mockResolvedValue(loaded());
  beginLoading(args);
  expect(load).not.toHaveBeenCalled();
});

test('another ring is loaded when it is asked for', async () => {
  const [unwanted, program] = [loaded(), loaded()];
  const release = vi.spyOn(unwanted, 'release').mockResolvedValue();
  load.mockResolvedValueOnce(unwanted).mockResolvedValueOnce(program);
  beginLoading(['capture', '--pid', '7']);
  expect(await takeProgram(usualRing / 2)).toBe(program);
  expect(release).toHaveBeenCalled();
  expect(load).toHaveBeenLastCalledWith(usualRing / 2, { operations: true });
});

test('what went wrong is told to who takes the program, and to nobody else', async () => {
  load.mockRejectedValueOnce(new Error('refused'));
  beginLoading(['capture', '--pid', '7']);
  await new Promise((resolve) => setImmediate(resolve));
  await expect(takeProgram(usualRing)).rejects.toThrow('refused');
});
