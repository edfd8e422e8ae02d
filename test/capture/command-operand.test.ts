import { expect, test } from 'vitest';
import { Command } from '../../src/commander.js';
import { captureCommand } from '../../src/commands/capture.js';
import { separateCommand } from '../../src/commands/command-operand.js';

const program = new Command('agsight').option('--json').addCommand(captureCommand());
const capture = program.commands[0];

test.each([
  ['capture -o d curl -s URL --duration 1', 'capture -o d -- curl -s URL --duration 1'],
  ['capture curl --json', 'capture -- curl --json'],
  ['--json capture --json -od --duration=3 curl -h', '--json capture --json -od --duration=3 -- curl -h'],
  ['capture --no-files sh -c x -- y', 'capture --no-files -- sh -c x -- y'],
  ['capture -o d -- curl -s', 'capture -o d -- curl -s'],
  ['capture --pid 1 2 -o d', 'capture --pid 1 2 -o d'],
  ['capture --pid 1 -- true', 'capture --pid 1 -- true'],
  ['capture --help', 'capture --help'],
  ['events d --json', 'events d --json'],
  ['', ''],
])('%s', (args, separated) => {
  const words = (text: string) => text.split(' ').filter((word) => word !== '');
  expect(separateCommand(words(args), program)).toEqual(words(separated));
});

test("the command's options are not ours", async () => {
  let got: { command: unknown; options: unknown } | undefined;
  capture?.action((command: unknown, _: unknown, self: Command) => {
    got = { command, options: self.optsWithGlobals() };
  });
  const args = 'capture -o d curl -s URL --duration 1 --json --pid 7'.split(' ');
  await program.parseAsync(['node', 'agsight', ...separateCommand(args, program)]);
  expect(got?.command).toEqual('curl -s URL --duration 1 --json --pid 7'.split(' '));
  expect(got?.options).toMatchObject({ output: 'd' });
  for (const name of ['duration', 'json', 'pid']) expect(got?.options).not.toHaveProperty(name);
});
