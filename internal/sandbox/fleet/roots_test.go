package fleet

import "testing"

// TestNodesOfAFunctionTrustTheDoors: a node that a function starts, as an extension's or an image's, reaches
// services by their names as its runtime does, whatever the options that the function sets.
func TestNodesOfAFunctionTrustTheDoors(t *testing.T) {
	l := newLab(t)
	fn := l.function(l.node, "roots", `
const { execFileSync } = require('child_process');
const get = (url) => new Promise((done) => require('https').get(url, (r) => r.setEncoding('utf8').on('data', done)).on('error', (e) => done(String(e))));
const child = (url) => execFileSync(process.execPath, ['-e', 'require("https").get("' + url + '", (r) => r.pipe(process.stdout)).on("error", (e) => console.log(String(e)))']).toString();
exports.handler = async (url) => [await get(url), child(url)];
`)
	for _, options := range []string{"", "--no-warnings"} {
		fn := fn
		if options != "" {
			fn.ARN += "-options"
			fn.Env = map[string]string{"NODE_OPTIONS": options}
		}
		l.want(l.invoke(fn, `"https://s3.amazonaws.com/"`), "", `\["roots s3.amazonaws.com tls=true","roots s3.amazonaws.com tls=true"\]`)
	}
	fn.ARN += "-own"
	fn.Env = map[string]string{"NODE_EXTRA_CA_CERTS": "/var/task/roots.pem"}
	l.want(l.invoke(fn, `"https://s3.amazonaws.com/"`), "", `\["roots s3.amazonaws.com tls=true","Error: .*"\]`)
}
