package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The peers' names, as the table prints them.
const (
	motoName = "moto_server"
	rieName  = "rie"
)

// rieFetched is where bench/rie.sh leaves AWS's Runtime Interface Emulator, which the SAM CLI puts
// into every container that it runs.
const rieFetched = ".tools/rie/aws-lambda-rie"

// rieLoop is the hello function as a client of the Runtime API, with nothing around it.
const rieLoop = `const http = require("http"), agent = new http.Agent({ keepAlive: true });
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const call = (method, path, body) => new Promise((done, failed) => {
  const r = http.request({ host, port, agent, method, path: "/2018-06-01/runtime/invocation/" + path }, (a) => {
    const parts = [];
    a.on("data", (d) => parts.push(d)).on("end", () => done([a.headers, Buffer.concat(parts)]));
  });
  r.on("error", failed).end(body);
});
const handler = async (event) => ({ statusCode: 200, body: "hello", keys: Object.keys(event).length });
(async () => {
  for (;;) {
    const [head, event] = await call("GET", "next");
    await call("POST", head["lambda-runtime-aws-request-id"] + "/response", JSON.stringify(await handler(JSON.parse(event))));
  }
})();
`

// startRIE starts the emulator with the function on the interpreter that Bastide has, without a sandbox.
func (b *bench) startRIE(ctx context.Context) (*server, error) {
	_, interpreter, err := b.runtime(node.family)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.data, "rie-loop.js")
	if err := os.WriteFile(file, []byte(rieLoop), 0o600); err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	api, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{name: rieName, address: address, things: map[string]bool{}, keys: Keys{"bench", "bench"}}
	s.cmd = exec.Command(b.riePath, "--log-level", "error", "--runtime-interface-emulator-address", address, "--runtime-api-address", api, interpreter, file)
	s.cmd.Env = []string{"PATH=/usr/bin:/bin", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=1769", "AWS_LAMBDA_FUNCTION_TIMEOUT=30"}
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	said := errors.New("it never answered")
	for ctx.Err() == nil && time.Since(begin) < 20*time.Second {
		if s.control, err = dial(address, s.keys); err == nil {
			status, answer, err := s.control.do(rieInvoke, 0)
			if err == nil && status == 200 {
				return s, nil
			}
			said = fmt.Errorf("%d %s %w", status, answer, err)
			s.control.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("%s: %w", b.riePath, said), ctx.Err(), s.stop())
}

// rieInvoke is the one call that the emulator has.
var rieInvoke = lambda("POST", functionsPath+"/function/invocations", kilobyte())
