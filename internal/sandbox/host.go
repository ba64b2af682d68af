package sandbox

import (
	"os"
	"path/filepath"
	"strings"
)

// vulnerabilities is where the kernel says what it does about the processor's faults
// (Documentation/ABI/testing/sysfs-devices-system-cpu).
const vulnerabilities = "/sys/devices/system/cpu/vulnerabilities"

// hostLayers judges the machine that functions share: the processor's faults, and whether two accounts
// can run on the two threads of one core at once.
func (n *Namespace) hostLayers() []Layer {
	return []Layer{processorLayer(vulnerabilities), n.landlockLayer(), n.coreLayer()}
}

// processorLayer reads the kernel's own verdicts.
func processorLayer(dir string) Layer {
	l := Layer{Name: "processor", State: Full}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		l.State, l.Detail = Weaker, "the kernel does not tell how it stands with the processor's faults"
		l.Fix = "run Bastide where " + vulnerabilities + " can be read"
		return l
	}
	var open []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if text := strings.TrimSpace(string(b)); err == nil && strings.HasPrefix(text, "Vulnerable") {
			open = append(open, filepath.Base(file)+" ("+text+")")
		}
	}
	if len(open) == 0 {
		l.Detail = "no known fault is left open"
		return l
	}
	l.State, l.Detail = Weaker, "left open: "+strings.Join(open, ", ")
	l.Fix = "install the vendor's current microcode and kernel, and remove mitigations=off from the kernel's command line;\n" +
		"until then, run functions of accounts that do not trust each other on different machines"
	return l
}

func (n *Namespace) landlockLayer() Layer {
	if n.landlock == 0 {
		return Layer{Name: "landlock", State: Weaker, Detail: "this kernel has none; files are kept by mounts alone",
			Fix: "a kernel with CONFIG_SECURITY_LANDLOCK, and landlock in the lsm= list of its command line"}
	}
	return Layer{Name: "landlock", State: Full, Detail: "nothing is written but /tmp, whatever the mounts say"}
}

func (n *Namespace) coreLayer() Layer {
	active, err := os.ReadFile("/sys/devices/system/cpu/smt/active")
	switch {
	case err == nil && strings.TrimSpace(string(active)) == "0":
		return Layer{Name: "cores", State: Full, Detail: "no core runs two threads at once"}
	case n.cores.works():
		return Layer{Name: "cores", State: Full, Detail: "core scheduling: the threads of one core run one account at a time"}
	}
	return Layer{Name: "cores", State: Weaker, Detail: "two accounts can run on the two threads of one core",
		Fix: "a kernel with CONFIG_SCHED_CORE, or: echo off | sudo tee /sys/devices/system/cpu/smt/control"}
}
