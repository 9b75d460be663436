"""A web server for MTA-STS policies, in a thread: mta-sts.DOMAIN's /.well-known/mta-sts.txt on port 443 of an address of
loopback, which only root may bind.

    with PolicyServer("127.0.8.1", ca.context("mta-sts.partner.example")) as web:
        web.policy("enforce", ["mx.partner.example"], max_age=86400)
        web.status, web.content_type, web.location, web.body      # what to answer instead
        web.requests                                              # ["GET /.well-known/mta-sts.txt mta-sts.partner.example"]
"""
import http.server
import threading


class PolicyServer:
    def __init__(self, address, context, port=443):
        self.status, self.content_type, self.location, self.body = 200, "text/plain; charset=utf-8", None, b""
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(f"GET {self.path} {self.headers['Host']}")
                self.send_response(outer.status)
                self.send_header("Content-Type", outer.content_type)
                self.send_header("Content-Length", str(len(outer.body)))
                if outer.location:
                    self.send_header("Location", outer.location)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request, client):
                # in the thread of this connection: a handshake that hangs holds up nobody
                try:
                    super().finish_request(context.wrap_socket(request, server_side=True), client)
                except OSError:
                    pass

        self.server = Server((address, port), Handler)

    def policy(self, mode, mx, max_age=86400):
        self.body = "".join([f"version: STSv1\r\nmode: {mode}\r\nmax_age: {max_age}\r\n",
                             *(f"mx: {name}\r\n" for name in mx)]).encode()

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
