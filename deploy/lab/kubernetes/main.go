// Command lab-kubernetes is one binary with the parts of a Kubernetes control plane that the lab runs, and kubectl.
//
// Which part it is follows from the name it is started under (a symbolic link, say) or else from its first argument:
// kube-apiserver, kube-controller-manager, etcd or kubectl. One binary, because the four share most of their code:
// it links in a fraction of the time and space that four would take.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	// Registers client-go's metrics, as the upstream commands do.
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// parts maps a program's name to a function that runs it with os.Args in place and returns its exit code.
var parts = map[string]func() int{
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) },
	"kubectl":                 func() int { return cli.Run(kubectl.NewDefaultKubectlCommand()) },
	"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
}

func main() {
	name := filepath.Base(os.Args[0])
	run, found := parts[name]
	if !found && len(os.Args) > 1 {
		name = os.Args[1]
		run, found = parts[name]
		os.Args = os.Args[1:]
	}
	if !found {
		fmt.Fprintln(os.Stderr, "usage: lab-kubernetes kube-apiserver|kube-controller-manager|etcd|kubectl [arguments]")
		os.Exit(2)
	}
	os.Exit(run())
}
