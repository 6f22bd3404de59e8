/**
 * The rules that lead a pod's TCP into its proxy, with the meaning of Istio's in-pod rules (reference 4.7): what the pod
 * sends goes to the outbound port, what reaches it in plaintext to the inbound one, HBONE and the proxy's own sockets
 * pass. They live in the pod's namespace and go with it.
 */

export const OUTBOUND_PORT = 15001;
export const PLAINTEXT_PORT = 15006;
export const HBONE_PORT = 15008;
/** SO_MARK of the proxy's own sockets, as Istio's ztunnel. */
export const PROXY_MARK = 0x539;

/** For `nft -f`, inside the pod's namespace. */
export function redirectionRules(): string {
  const own = `meta mark & 0xfff == 0x${PROXY_MARK.toString(16)} accept`;
  return `table inet ambit {
  chain output {
    type nat hook output priority -100; policy accept;
    ${own}
    oifname "lo" ip daddr != 127.0.0.1 accept
    ip daddr 127.0.0.1 accept
    ip6 daddr ::1 accept
    meta l4proto tcp redirect to :${OUTBOUND_PORT}
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    ${own}
    ip daddr 127.0.0.1 accept
    ip6 daddr ::1 accept
    tcp dport ${HBONE_PORT} accept
    meta l4proto tcp redirect to :${PLAINTEXT_PORT}
  }
}
`;
}
