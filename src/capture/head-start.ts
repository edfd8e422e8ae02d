// The kernel program of a capture, loaded while the command line is still being read: the kernel examines it beside Node,
// and a target that runs already is recorded that much sooner. bin/agsight.js begins it, capture.ts takes it.

import { KernelProgram } from '../bpf/kernel-program.js';
import { defaultRingMib } from './ring.js';

let begun: { ringBytes: number; program: Promise<KernelProgram> } | undefined;

/**
 * Begins to load the program of the capture that `args` ask for, or does nothing where they do not, ask for help or for
 * another ring. What goes wrong is told to who takes it; where nobody does, the program ends with the process.
 *
 * @param args as they follow the name of the program.
 */
export function beginLoading(args: readonly string[]): void {
  const isCapture = args.find((argument) => !argument.startsWith('-')) === 'capture';
  if (!isCapture || args.some((argument) => /^(-h|--help|--ring-mib.*)$/.test(argument))) return;
  const ringBytes = defaultRingMib * 2 ** 20;
  const program = load(ringBytes);
  // Nobody may come to take it.
  program.catch(() => {});
  begun = { ringBytes, program };
}

/** The program with a ring of `ringBytes`. Errors: those of `KernelProgram.load`. */
export function takeProgram(ringBytes: number): Promise<KernelProgram> {
  const ahead = begun;
  begun = undefined;
  if (ahead?.ringBytes === ringBytes) return ahead.program;
  ahead?.program.then(
    (program) => program.release(),
    () => {},
  );
  return load(ringBytes);
}

function load(ringBytes: number): Promise<KernelProgram> {
  return KernelProgram.load(ringBytes, { operations: true });
}
