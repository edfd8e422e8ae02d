// When our own code is compiled with optimisation: in a recording that little comes to, that takes more of a CPU than it
// ever gives back, and takes it from the program that is recorded.

import { setFlagsFromString } from 'node:v8';

/** From now on no function is optimised. Returns what lets them be. */
export function deferOptimization(): () => void {
  setFlagsFromString('--no-opt');
  return () => setFlagsFromString('--opt');
}
