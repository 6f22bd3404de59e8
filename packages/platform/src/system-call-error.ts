/** A system call that failed, told so that a person knows what was tried and what to do about it. */
import { getSystemErrorMessage } from 'node:util';
import { AmbitError } from '@ambit/base/errors';
import { errnoName } from './errno.ts';

export class SystemCallError extends AmbitError {
  readonly call: string;
  readonly errno: number;
  /** `EADDRINUSE`. */
  readonly errnoName: string;

  /**
   * `attempted` says what the call was for: `127.0.0.1:80`, `/run/ambit.sock`. It comes after errno, because the caller
   * puts it together: arguments are evaluated in order, and errno is to be read before anything else runs.
   */
  constructor(call: string, errno: number, attempted: string) {
    const name = errnoName(errno);
    const hint = HINTS[name];
    super('SYSTEM_CALL', `${call} ${attempted}: ${name} ${describe(errno)}`, {
      side: 'internal',
      retry: LASTING.has(name) ? 'never' : 'safe',
      ...(hint === undefined ? {} : { hint }),
    });
    this.name = 'SystemCallError';
    this.call = call;
    this.errno = errno;
    this.errnoName = name;
  }
}

const HINTS: Readonly<Record<string, string>> = {
  EACCES:
    'Run with the privilege that this needs: CAP_NET_BIND_SERVICE for ports below 1024, access rights for a path.',
  EADDRINUSE: 'Another socket holds this address: find it with `ss -ltnp` and stop it, or choose another port.',
  EADDRNOTAVAIL: 'The address is not on any interface of this network namespace: check it with `ip address`.',
  EMFILE: 'This process has no descriptors left: raise its limit (`ulimit -n`, LimitNOFILE in systemd).',
  ENFILE: 'The system has no descriptors left: raise fs.file-max.',
  EPERM: 'Run as root or with CAP_NET_ADMIN and CAP_SYS_ADMIN.',
};

/** Errors that the same call meets again. */
const LASTING = new Set(['EACCES', 'EPERM', 'EINVAL', 'EBADF', 'ENOTSOCK', 'EAFNOSUPPORT', 'EPROTONOSUPPORT']);

function describe(errno: number): string {
  return getSystemErrorMessage(-errno) ?? '';
}
