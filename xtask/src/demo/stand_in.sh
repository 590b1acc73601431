#!/bin/bash
# Plays `gateway` in the demo's own test: the kernel's nftables does the work of tests/policies/seed.toml.
set -euo pipefail

flows() {
    conntrack -L 2>/dev/null | awk '
        BEGIN { print "["; separator = "" }
        {
            n = 0; delete at
            for (i = 1; i <= NF; i++) if (split($i, pair, "=") == 2) { n = ++seen[NR, pair[1]]; at[pair[1], n] = pair[2] }
            port = ($1 == "icmp") ? "id" : "sport"; other = ($1 == "icmp") ? "id" : "dport"
            original = at["src", 1] ":" at[port, 1]; to = at["dst", 1] ":" at[other, 1]
            reply = at["src", 2] ":" at[port, 2]; back = at["dst", 2] ":" at[other, 2]
            inward = (at["src", 1] !~ /^10\.227\./)
            printf "%s{\"protocol\":\"%s\",\"internal\":\"%s\",\"external\":\"%s\",\"remote\":\"%s\",\"rule\":\"stand-in\"}\n", separator, $1,
                inward ? reply : original, inward ? to : back, inward ? original : to
            separator = ","
        }
        END { print "]" }'
}

case $1 in
run)
    trap 'exit 0' TERM
    sed -n 's/^mode = //p' "$3" >"$0.mode"
    ip address add 10.227.128.15/21 dev eth1
    ip link set eth1 mtu 1400
    sysctl -qw net.ipv4.ip_forward=1
    nft -f - <<'NFT'
table ip stand_in {
    counter denied {}
    chain destination { type nat hook prerouting priority dstnat; iifname "eth0" tcp dport 33890 dnat to 10.227.128.11:3389; }
    chain source { type nat hook postrouting priority srcnat; ip saddr 10.227.128.0/21 oifname "eth0" masquerade; }
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established accept
        iifname "eth1" oifname "eth0" accept
        iifname "eth0" ip saddr { 10.10.0.0/16, 10.20.0.0/16 } ip daddr 10.227.128.11 tcp dport 3389 accept
        counter name denied drop
    }
}
NFT
    while :; do sleep 0.1; done
    ;;
status) nft list counter ip stand_in denied >/dev/null && echo "{\"ready\":true,\"interfaces\":[{\"name\":\"eth0\",\"mode\":$(cat "$0.mode")}]}" ;;
flows) flows ;;
drops) nft list counter ip stand_in denied | awk '/packets/ { printf "{\"reasons\":[],\"rules\":[{\"rule\":\"default\",\"packets\":%d}]}\n", $2 }' ;;
*) exit 2 ;;
esac
