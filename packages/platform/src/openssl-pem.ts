/** PEM (RFC 7468) into OpenSSL objects, and the one error for material that cannot be used. */
import { AmbitError } from '@ambit/base/errors';
import { openssl } from './ffi.ts';
import { PEM_BYTES_MAX } from './limits.ts';
import { drainTlsErrors } from './openssl-errors.ts';
import { Region } from './region.ts';

const ERR_LIB_PEM = 9;
const PEM_R_NO_START_LINE = 108;

const region = Region.map(PEM_BYTES_MAX + 1);

/** Text in native memory for the length of one `NativeTlsContext.create`; each `text` replaces the one before. */
export class MaterialScratch {
  #usedBytes = 0;

  /** NUL-terminated at `lengthBytes`. */
  text(text: string): { readonly address: number; readonly lengthBytes: number } {
    const bytes = Buffer.from(text, 'utf8');
    if (bytes.length > PEM_BYTES_MAX)
      throw materialError(`${bytes.length} bytes of PEM are more than ${PEM_BYTES_MAX}`, '');
    this.wipe();
    region.bytes.set(bytes);
    bytes.fill(0);
    this.#usedBytes = bytes.length;
    return { address: region.at(0, bytes.length + 1), lengthBytes: bytes.length };
  }

  /** No key stays behind. */
  wipe(): void {
    region.bytes.fill(0, 0, this.#usedBytes);
    this.#usedBytes = 0;
  }
}

/** At least one `X509 *`, each to be freed by the caller. Blocks of other kinds are passed over. */
export function readCertificates(pem: string, what: string, material: MaterialScratch): readonly number[] {
  return withMemoryBio(pem, material, (bio) => {
    const certificates: number[] = [];
    let certificate = openssl.PEM_read_bio_X509(bio, 0, 0, 0);
    for (; certificate !== 0; certificate = openssl.PEM_read_bio_X509(bio, 0, 0, 0)) certificates.push(certificate);
    const atEnd = isNoStartLine(openssl.ERR_peek_error());
    const reason = drainTlsErrors();
    if (atEnd && certificates.length > 0) return certificates;
    freeCertificates(certificates);
    if (atEnd) throw materialError(`no certificate found in the ${what}`, '');
    throw materialError(`certificate ${certificates.length + 1} of the ${what} cannot be read`, reason);
  });
}

/** An `EVP_PKEY *`, to be freed by the caller. An encrypted one is refused: nobody is there to type its passphrase. */
export function readPrivateKey(pem: string, material: MaterialScratch): number {
  return withMemoryBio(pem, material, (bio, emptyPassphrase) => {
    const key = openssl.PEM_read_bio_PrivateKey(bio, 0, 0, emptyPassphrase);
    if (key === 0) throw materialError('the private key cannot be read', drainTlsErrors());
    return key;
  });
}

export function freeCertificates(certificates: readonly number[]): void {
  for (const certificate of certificates) openssl.X509_free(certificate);
}

export function materialError(what: string, reason: string): AmbitError {
  return new AmbitError('TLS_MATERIAL', reason === '' ? what : `${what}: ${reason}`, {
    side: 'internal',
    retry: 'never',
    hint: 'Check the certificate chain (leaf first), the unencrypted private key and the roots, all as PEM.',
  });
}

/** Without the second argument OpenSSL asks at the terminal for a passphrase, and the process hangs. */
function withMemoryBio<T>(pem: string, material: MaterialScratch, use: (bio: number, emptyText: number) => T): T {
  const { address, lengthBytes } = material.text(pem);
  const bio = openssl.BIO_new_mem_buf(address, lengthBytes);
  if (bio === 0) throw materialError('no memory to read PEM', drainTlsErrors());
  try {
    return use(bio, address + lengthBytes);
  } finally {
    openssl.BIO_free(bio);
  }
}

function isNoStartLine(error: number): boolean {
  return ((error >>> 23) & 0xff) === ERR_LIB_PEM && (error & 0x7fffff) === PEM_R_NO_START_LINE;
}
