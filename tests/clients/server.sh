# Sourced: a server with TLS and identities in the current folder, for tests with tools that are not ours.
#   serve_tls PROGRAM NAME…   writes a certificate for the names, a secret and a token of the student alice, and serves; sets $server, its
#                             process, and $port. The certificate's authority is tls/ca.crt, the token is in the file `token`.
#   stop_server               ends it, and fails if it does not end well.

server=
serve_tls() {
  local program=$1
  shift
  "$program" tls-init "$@" >init
  "$program" token --new-secret secrets >init 2>&1
  "$program" token --secret-file secrets --role student --sub alice --expires 1h >token
  "$program" serve --ephemeral --port 0 --auth-secret-file secrets --tls-cert-file tls/server.crt --tls-key-file tls/server.key \
    >out 2>log &
  server=$!
  for _ in $(seq 100); do
    port=$(sed -n 's/.*listening on .*://p' out)
    [ -n "$port" ] && return
    kill -0 "$server" || { cat log; exit 1; }
    sleep 0.1
  done
  cat log
  exit 1
}

stop_server() {
  kill -TERM "$server"
  wait "$server"
  server=
}
