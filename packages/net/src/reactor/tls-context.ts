/** The reactor's TLS context: OpenSSL's, with buffers set for connections that are many and mostly quiet. */
import { NativeTlsContext } from '@ambit/platform/openssl';
import type { TlsContext, TlsMaterial } from '../engine.ts';
import { TLS_READ_BUFFER_BYTES } from './limits.ts';

export class ReactorTlsContext implements TlsContext {
  readonly material: TlsMaterial;
  readonly #native: NativeTlsContext;

  constructor(material: TlsMaterial) {
    this.material = material;
    this.#native = NativeTlsContext.create({ ...material, readAheadBytes: TLS_READ_BUFFER_BYTES });
  }

  get address(): number {
    return this.#native.address;
  }

  retain(): void {
    this.#native.retain();
  }

  release(): void {
    this.#native.release();
  }
}
