// What a capture would see of a program that a person names, by path, by name or by pid. Never fails: what stands in the
// way is part of the answer.

import { findProgram } from '../capture/command.js';
import { executable, isAlive } from '../capture/process.js';
import { AgsightError, systemErrorCode } from '../errors.js';
import { type ProgramVerdict, ProgramVerdicts } from './program-verdict.js';

export interface ProgramExamination extends ProgramVerdict {
  /** Null when a file was named. */
  pid: number | null;
  /** `partly`: some of its TLS libraries. */
  verdict: 'yes' | 'partly' | 'no';
  /** Why not all is captured, and what to do about it; null when all is. */
  reason: string | null;
  remedy: string | null;
}

/** @param names a number is a pid; a name without a slash that is no file here is looked for in PATH */
export function examinePrograms(names: readonly string[]): ProgramExamination[] {
  const verdicts = new ProgramVerdicts();
  return names.map((name) => {
    const pid = /^[1-9]\d{0,9}$/.test(name) ? Number(name) : null;
    try {
      return { pid, ...judge(pid === null ? ofFile(verdicts, name) : ofProcess(verdicts, pid)) };
    } catch (error) {
      return { pid, ...unreadable(name, error) };
    }
  });
}

function ofFile(verdicts: ProgramVerdicts, name: string): ProgramVerdict {
  return verdicts.ofProgram(findProgram(name));
}

function ofProcess(verdicts: ProgramVerdicts, pid: number): ProgramVerdict {
  if (!isAlive(pid)) {
    throw new AgsightError('no-process', `there is no process ${pid}`, { remedy: 'see agsight ps' });
  }
  return verdicts.ofProcess(pid, executable(pid) ?? `/proc/${pid}/exe`);
}

function judge(program: ProgramVerdict): Omit<ProgramExamination, 'pid'> {
  const { tls } = program;
  const missing = tls.find(({ is_captured }) => !is_captured);
  if (missing !== undefined) {
    const verdict = tls.some(({ is_captured }) => is_captured) ? 'partly' : 'no';
    const reason = `${missing.library}: ${missing.reason}`;
    return { ...program, verdict, reason, remedy: missing.remedy };
  }
  if (tls.length > 0) return { ...program, verdict: 'yes', reason: null, remedy: null };
  return {
    ...program,
    verdict: 'no',
    reason: 'it holds no TLS library that agsight knows, and is linked to none',
    remedy:
      'capture it all the same: libraries that it loads and programs that it starts later are probed then',
  };
}

function unreadable(name: string, error: unknown): Omit<ProgramExamination, 'pid'> {
  const code = systemErrorCode(error);
  if (!(error instanceof AgsightError) && code === undefined) throw error;
  const isOurs = error instanceof AgsightError;
  return {
    program: name,
    native: null,
    version: null,
    tls: [],
    remarks: [],
    verdict: 'no',
    reason: isOurs ? error.reason : `it cannot be read: ${code}`,
    remedy:
      (isOurs ? error.remedy : undefined) ??
      (code === 'ENOENT'
        ? 'check the path'
        : 'run agsight doctor as root; what runs as root too may be protected'),
  };
}
