/** The static table of RFC 7541 appendix A. Index 0 is not used; entries of one name stand together. */
export const STATIC_COUNT = 61;

const ENTRIES = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`.split('\n');

/** The text before the first space is the name, the rest the value; line 0 is empty, as index 0 is. */
export const STATIC_NAMES: readonly string[] = ENTRIES.map((line) => line.split(' ', 1)[0]!);
export const STATIC_VALUES: readonly string[] = ENTRIES.map((line, i) => line.slice(STATIC_NAMES[i]!.length + 1));

/** Name to the lowest index that has it. */
export const STATIC_FIRST: ReadonlyMap<string, number> = new Map(
  STATIC_NAMES.map((name, i): [string, number] => [name, i])
    .slice(1)
    .reverse(),
);
