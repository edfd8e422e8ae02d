// The TCP sockets of a process that runs already: where it listens, what it is connected to, and which of its threads wait
// for bytes. What begins later is recorded by the kernel program.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { arch } from 'node:os';
import type { SocketAddress } from '../evidence/event.js';
import { socketAddress } from '../evidence/socket-codec.js';

export interface OpenSocket {
  isListener: boolean;
  local: SocketAddress;
  remote: SocketAddress;
  descriptor: number;
}

/** A thread that was inside a call that receives from a TCP connection. */
export interface WaitingCall {
  tid: number;
  call: string;
  descriptor: number;
  remote: SocketAddress;
}

const established = 0x01;
const closeWait = 0x08;
const listening = 0x0a;

/** System calls that wait for bytes, by number. */
const receivingCalls: Record<string, Record<number, string>> = {
  x64: { 0: 'read', 19: 'readv', 45: 'recvfrom', 47: 'recvmsg' },
  arm64: { 63: 'read', 65: 'readv', 207: 'recvfrom', 212: 'recvmsg' },
};

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Hexadecimal words in the order of the machine, as /proc/net/tcp has them: `0100007F:1F90`. */
function parseAddress(text: string): SocketAddress {
  const [words = '', port = '0'] = text.split(':');
  const bytes = Buffer.from(words, 'hex');
  return socketAddress(bytes.swap32(), Number.parseInt(port, 16));
}

/** The sockets of the process in its own network namespace. Empty when it has ended. */
export function openSockets(pid: number): OpenSocket[] {
  const descriptorOf = new Map<string, number>();
  for (const descriptor of entries(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${descriptor}`))?.[1];
    if (inode !== undefined) descriptorOf.set(inode, Number(descriptor));
  }
  if (descriptorOf.size === 0) return [];
  const lines = ['tcp', 'tcp6'].flatMap((name) =>
    readOrEmpty(`/proc/${pid}/net/${name}`).split('\n').slice(1),
  );
  return lines.flatMap((line) => {
    const [, local, remote, stateText, , , , , , inode] = line.trim().split(/\s+/);
    if (local === undefined || remote === undefined || inode === undefined) return [];
    const descriptor = descriptorOf.get(inode);
    const state = Number.parseInt(stateText ?? '', 16);
    if (descriptor === undefined || ![established, closeWait, listening].includes(state)) return [];
    const isListener = state === listening;
    return [{ isListener, local: parseAddress(local), remote: parseAddress(remote), descriptor }];
  });
}

/** Threads of the process that wait for bytes of one of `sockets`: what they get is not seen whole. */
export function waitingCalls(pid: number, sockets: readonly OpenSocket[]): WaitingCall[] {
  const calls = receivingCalls[arch()] ?? {};
  return entries(`/proc/${pid}/task`).flatMap((tid) => {
    const [number, descriptor] = readOrEmpty(`/proc/${pid}/task/${tid}/syscall`).split(' ');
    const call = calls[Number(number)];
    const socket = sockets.find((open) => open.descriptor === Number(descriptor));
    if (call === undefined || socket === undefined || socket.isListener) return [];
    return [{ tid: Number(tid), call, descriptor: socket.descriptor, remote: socket.remote }];
  });
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
