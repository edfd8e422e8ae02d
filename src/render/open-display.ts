// Whether a capture is shown while it runs. What is shown, and all that interprets it, is loaded only then.

import type { CaptureDisplay } from './capture-display.js';
import { isVerbose, startProgress } from './notes.js';

/**
 * A display for what the person at the terminal sees or has asked to see; undefined when that is nothing.
 *
 * @param terminal.isShared whether the captured command writes to the terminal too: then it belongs to the command,
 *   which may draw all over it, and no line of ours is in its way
 */
export async function openCaptureDisplay(terminal: {
  isShared: boolean;
}): Promise<CaptureDisplay | undefined> {
  const progress = terminal.isShared ? undefined : startProgress();
  if (progress === undefined && !isVerbose()) return undefined;
  const { CaptureDisplay } = await import('./capture-display.js');
  return new CaptureDisplay(progress);
}
