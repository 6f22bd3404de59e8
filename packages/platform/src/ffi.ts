/**
 * The one table of foreign functions: libc, and the OpenSSL and libuv that the node binary carries and exports.
 * Nothing else in the repository declares a signature, so that another FFI can take koffi's place here alone.
 *
 * Addresses are plain numbers (user space is below 2^47). They come from regions (region.ts) or from the library
 * itself, never from a Buffer: the collector may move or free what only an address refers to.
 */
import koffi from 'koffi';

type Signatures = Readonly<Record<string, string>>;

const LIBC = {
  __errno_location: 'void *__errno_location()',
  accept4: 'int accept4(int, uint64, uint64, int)',
  bind: 'int bind(int, uint64, uint32)',
  close: 'int close(int)',
  connect: 'int connect(int, uint64, uint32)',
  epoll_create1: 'int epoll_create1(int)',
  epoll_ctl: 'int epoll_ctl(int, int, int, uint64)',
  epoll_wait: 'int epoll_wait(int, uint64, int, int)',
  eventfd: 'int eventfd(uint32, int)',
  fcntl: 'int fcntl(int, int, int64)',
  getpeername: 'int getpeername(int, uint64, uint64)',
  getrlimit: 'int getrlimit(int, uint64)',
  getsockname: 'int getsockname(int, uint64, uint64)',
  getsockopt: 'int getsockopt(int, int, int, uint64, uint64)',
  ioctl: 'int ioctl(int, uint64, uint64)',
  listen: 'int listen(int, int)',
  madvise: 'int madvise(uint64, size_t, int)',
  malloc_trim: 'int malloc_trim(size_t)',
  mallopt: 'int mallopt(int, int)',
  memmove: 'uint64 memmove(uint64, uint64, size_t)',
  mmap: 'void *mmap(uint64, size_t, int, int, int, int64)',
  munmap: 'int munmap(uint64, size_t)',
  open: 'int open(str, int, int)',
  pipe2: 'int pipe2(uint64, int)',
  prlimit: 'int prlimit(int, int, uint64, uint64)',
  read: 'int64 read(int, uint64, size_t)',
  recvfrom: 'int64 recvfrom(int, uint64, size_t, int, uint64, uint64)',
  recvmsg: 'int64 recvmsg(int, uint64, int)',
  sendmsg: 'int64 sendmsg(int, uint64, int)',
  sendto: 'int64 sendto(int, uint64, size_t, int, uint64, uint32)',
  setns: 'int setns(int, int)',
  setrlimit: 'int setrlimit(int, uint64)',
  setsockopt: 'int setsockopt(int, int, int, uint64, uint32)',
  shutdown: 'int shutdown(int, int)',
  socket: 'int socket(int, int, int)',
  socketpair: 'int socketpair(int, int, int, uint64)',
  write: 'int64 write(int, uint64, size_t)',
} as const satisfies Signatures;

const OPENSSL = {
  BIO_ctrl: 'int64 BIO_ctrl(uint64, int, int64, uint64)',
  BIO_free: 'int BIO_free(uint64)',
  BIO_new: 'uint64 BIO_new(uint64)',
  BIO_new_mem_buf: 'uint64 BIO_new_mem_buf(uint64, int)',
  BIO_new_socket: 'uint64 BIO_new_socket(int, int)',
  BIO_s_mem: 'uint64 BIO_s_mem()',
  BIO_up_ref: 'int BIO_up_ref(uint64)',
  CRYPTO_free: 'void CRYPTO_free(uint64, uint64, int)',
  ERR_clear_error: 'void ERR_clear_error()',
  ERR_error_string_n: 'void ERR_error_string_n(uint64, uint64, size_t)',
  ERR_get_error: 'uint64 ERR_get_error()',
  ERR_peek_error: 'uint64 ERR_peek_error()',
  EVP_PKEY_free: 'void EVP_PKEY_free(uint64)',
  OPENSSL_sk_pop: 'uint64 OPENSSL_sk_pop(uint64)',
  OpenSSL_version: 'str OpenSSL_version(int)',
  PEM_read_bio_PrivateKey: 'uint64 PEM_read_bio_PrivateKey(uint64, uint64, uint64, uint64)',
  PEM_read_bio_X509: 'uint64 PEM_read_bio_X509(uint64, uint64, uint64, uint64)',
  SSL_CTX_check_private_key: 'int SSL_CTX_check_private_key(uint64)',
  SSL_CTX_ctrl: 'int64 SSL_CTX_ctrl(uint64, int, int64, uint64)',
  SSL_CTX_free: 'void SSL_CTX_free(uint64)',
  SSL_CTX_get_cert_store: 'uint64 SSL_CTX_get_cert_store(uint64)',
  SSL_CTX_new: 'uint64 SSL_CTX_new(uint64)',
  SSL_CTX_set_alpn_protos: 'int SSL_CTX_set_alpn_protos(uint64, uint64, uint32)',
  SSL_CTX_set_alpn_select_cb: 'void SSL_CTX_set_alpn_select_cb(uint64, uint64, uint64)',
  SSL_CTX_set_ciphersuites: 'int SSL_CTX_set_ciphersuites(uint64, str)',
  SSL_CTX_set_default_read_buffer_len: 'void SSL_CTX_set_default_read_buffer_len(uint64, size_t)',
  SSL_CTX_set_num_tickets: 'int SSL_CTX_set_num_tickets(uint64, size_t)',
  SSL_CTX_set_options: 'uint64 SSL_CTX_set_options(uint64, uint64)',
  SSL_CTX_set_verify: 'void SSL_CTX_set_verify(uint64, int, uint64)',
  SSL_CTX_use_PrivateKey: 'int SSL_CTX_use_PrivateKey(uint64, uint64)',
  SSL_CTX_use_certificate: 'int SSL_CTX_use_certificate(uint64, uint64)',
  SSL_do_handshake: 'int SSL_do_handshake(uint64)',
  SSL_free: 'void SSL_free(uint64)',
  SSL_get0_alpn_selected: 'void SSL_get0_alpn_selected(uint64, uint64, uint64)',
  SSL_get0_verified_chain: 'uint64 SSL_get0_verified_chain(uint64)',
  SSL_get1_peer_certificate: 'uint64 SSL_get1_peer_certificate(uint64)',
  SSL_get_error: 'int SSL_get_error(uint64, int)',
  SSL_get_peer_cert_chain: 'uint64 SSL_get_peer_cert_chain(uint64)',
  SSL_get_verify_result: 'int64 SSL_get_verify_result(uint64)',
  SSL_get_version: 'str SSL_get_version(uint64)',
  SSL_has_pending: 'int SSL_has_pending(uint64)',
  SSL_key_update: 'int SSL_key_update(uint64, int)',
  SSL_new: 'uint64 SSL_new(uint64)',
  SSL_new_session_ticket: 'int SSL_new_session_ticket(uint64)',
  SSL_pending: 'int SSL_pending(uint64)',
  SSL_read: 'int SSL_read(uint64, uint64, int)',
  SSL_select_next_proto: 'int SSL_select_next_proto(uint64, uint64, uint64, uint32, uint64, uint32)',
  SSL_set0_wbio: 'void SSL_set0_wbio(uint64, uint64)',
  SSL_set_accept_state: 'void SSL_set_accept_state(uint64)',
  SSL_set_bio: 'void SSL_set_bio(uint64, uint64, uint64)',
  SSL_set_connect_state: 'void SSL_set_connect_state(uint64)',
  SSL_shutdown: 'int SSL_shutdown(uint64)',
  SSL_write: 'int SSL_write(uint64, uint64, int)',
  TLS_method: 'uint64 TLS_method()',
  X509_STORE_add_cert: 'int X509_STORE_add_cert(uint64, uint64)',
  X509_STORE_set_flags: 'int X509_STORE_set_flags(uint64, uint64)',
  X509_free: 'void X509_free(uint64)',
  X509_verify_cert_error_string: 'str X509_verify_cert_error_string(int64)',
  d2i_X509: 'uint64 d2i_X509(uint64, uint64, int64)',
  i2d_X509: 'int i2d_X509(uint64, uint64)',
} as const satisfies Signatures;

const LIBUV = {
  uv_backend_fd: 'int uv_backend_fd(uint64)',
  uv_backend_timeout: 'int uv_backend_timeout(uint64)',
  uv_default_loop: 'uint64 uv_default_loop()',
  uv_update_time: 'void uv_update_time(uint64)',
} as const satisfies Signatures;

/** Every foreign function takes and gives numbers, but for the three shapes that koffi converts itself. */
type Returns<Prototype extends string> = Prototype extends `str ${string}`
  ? string
  : Prototype extends `void *${string}`
    ? bigint
    : Prototype extends `void ${string}`
      ? undefined
      : number;
type Takes<Prototype extends string> = Prototype extends `${string}(str${string}`
  ? (path: string, ...rest: number[]) => Returns<Prototype>
  : Prototype extends `${string}, str)${string}`
    ? (handle: number, text: string) => Returns<Prototype>
    : (...args: number[]) => Returns<Prototype>;
type Functions<Table extends Signatures> = { readonly [Name in keyof Table]: Takes<Table[Name]> };

type Library = ReturnType<typeof koffi.load>;

/** What this process lacks of the tables. Calling one throws, so preflight.ts refuses to start where this is not empty. */
const missing: string[] = [];
export const missingSymbols: readonly string[] = missing;

/** Direct koffi functions in a plain object, so that a call costs nothing but itself. */
function bind<Table extends Signatures>(libraryName: string | null, table: Table): Functions<Table> {
  const library = load(libraryName);
  const functions: Record<string, unknown> = {};
  for (const [name, prototype] of Object.entries(table)) functions[name] = find(library, name, prototype);
  return functions as Functions<Table>;
}

function load(libraryName: string | null): Library | null {
  try {
    return koffi.load(libraryName);
  } catch {
    return null;
  }
}

function find(library: Library | null, name: string, prototype: string): unknown {
  try {
    if (library !== null) return library.func(prototype);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('Cannot find function'))) throw error;
  }
  missing.push(name);
  return () => {
    throw new Error(`${name} is not there, and preflight was not asked`);
  };
}

export const libc = bind('libc.so.6', LIBC);
/** Never the system's libssl beside node's own: their symbols mix and SSL_CTX_new returns 0. */
export const openssl = bind(null, OPENSSL);
export const libuv = bind(null, LIBUV);

/** A view over `lengthBytes` of native memory at `address`, which must outlive every use of the view. */
export function viewNative(address: number | bigint, lengthBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(koffi.view(BigInt(address), lengthBytes));
}

/** Address of a callback that OpenSSL calls on this thread. It must never throw; it is never unregistered. */
export function registerCallback(prototype: string, callback: (...args: number[]) => number): number {
  return Number(koffi.address(koffi.register(callback, koffi.pointer(koffi.proto(prototype)))));
}
