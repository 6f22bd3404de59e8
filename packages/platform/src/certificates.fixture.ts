/** Test certificates, written as DER by hand so that wrong ones are as easy to make as right ones. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface Minted {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly der: Buffer;
  readonly name: string;
  readonly key: KeyObject;
}

export interface MintOptions {
  readonly name: string;
  readonly issuer?: Minted;
  readonly isAuthority?: boolean;
  readonly extendedUsages?: readonly ('serverAuth' | 'clientAuth' | 'codeSigning')[];
  readonly uri?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

const DAY_MS = 86_400_000;
const USAGE_OIDS = { serverAuth: '2b06010505070301', clientAuth: '2b06010505070302', codeSigning: '2b06010505070303' };
let serial = 1;

export function mint(options: MintOptions): Minted {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = options.issuer?.key ?? privateKey;
  const { notBefore = new Date(Date.now() - DAY_MS), notAfter = new Date(Date.now() + DAY_MS) } = options;
  const ecdsaSha256 = tlv(0x30, oid('2a8648ce3d040302'));
  const body = tlv(
    0x30,
    tlv(0xa0, integer(2)),
    integer(serial++),
    ecdsaSha256,
    commonName(options.issuer?.name ?? options.name),
    tlv(0x30, time(notBefore), time(notAfter)),
    commonName(options.name),
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, tlv(0x30, ...extensions(options))),
  );
  const signature = tlv(0x03, Buffer.from([0]), sign('sha256', body, key));
  const der = tlv(0x30, body, ecdsaSha256, signature);
  return {
    certificatePem: pem('CERTIFICATE', der),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    der,
    name: options.name,
    key: createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
}

/** A leaf as the mesh issues it: both usages and a SPIFFE id. */
export function mintWorkload(issuer: Minted, name = 'workload'): Minted {
  const uri = `spiffe://cluster.local/ns/default/sa/${name}`;
  return mint({ name, issuer, extendedUsages: ['serverAuth', 'clientAuth'], uri });
}

export function mintRoot(name = 'root'): Minted {
  return mint({ name, isAuthority: true });
}

function extensions(options: MintOptions): Buffer[] {
  const list = [options.isAuthority ? extension('551d13', tlv(0x30, tlv(0x01, Buffer.from([0xff]))), true) : null];
  // keyCertSign and cRLSign, or digitalSignature.
  list.push(extension('551d0f', Buffer.from(options.isAuthority ? [3, 2, 1, 6] : [3, 2, 7, 0x80]), true));
  const usages = options.extendedUsages ?? [];
  if (usages.length > 0) list.push(extension('551d25', tlv(0x30, ...usages.map((usage) => oid(USAGE_OIDS[usage])))));
  if (options.uri !== undefined) list.push(extension('551d11', tlv(0x30, tlv(0x86, Buffer.from(options.uri))), true));
  return list.filter((entry) => entry !== null);
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return tlv(0x30, oid(id), ...(critical ? [tlv(0x01, Buffer.from([0xff]))] : []), tlv(0x04, value));
}

function tlv(tag: number, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'));
}

function integer(value: number): Buffer {
  return tlv(0x02, Buffer.from([0, value >> 8, value & 0xff].slice(value < 128 ? 2 : value < 32_768 ? 1 : 0)));
}

function time(date: Date): Buffer {
  return tlv(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]|\.\d+Z/g, '')}Z`));
}

function commonName(name: string): Buffer {
  return tlv(0x30, tlv(0x31, tlv(0x30, oid('550403'), tlv(0x0c, Buffer.from(name)))));
}

function pem(label: string, der: Buffer): string {
  return `-----BEGIN ${label}-----\n${der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`;
}
