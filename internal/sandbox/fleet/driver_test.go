package fleet

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// driverKit names the driver of a second run.
const driverKit = "BASTIDE_FLEET_DRIVER"

// TestUnderGVisor tells stories of this package again with gVisor's sandboxes: of extensions and their
// telemetry, images, custom runtimes, doors, ends, and ready sandboxes.
func TestUnderGVisor(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 || os.Getenv(driverKit) != "" || os.Getenv(allPooled) != "" {
		return // gVisor is root's, and this is the second run already
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.count=1", "-test.timeout=300s", "-test.v", "-test.run=^(TestExtensionsLive.*|TestExtensionsFinish.*|TestExtensionsAreTold.*|"+
		"TestExtensionsInReady.*|TestTelemetry|TestRuntimesAreAsked.*|TestImageFunction|TestCustomRuntime|TestDoors|TestTimeoutEnds.*|TestReadyOnesAreUsedOnce)$")
	cmd.Env = append(os.Environ(), driverKit+"=gvisor")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestExtensionsInReadySandboxes")) {
		t.Fatalf("under gVisor: %v\n%s", err, out)
	}
}
