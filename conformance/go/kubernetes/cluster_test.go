// Package kubernetes has the server and cert-manager's controllers work with a real API server.
package kubernetes

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	certmanager "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"signet.test/conformance/harness"
)

// patience is for a loaded machine; nothing here takes more than seconds otherwise.
const patience = 2 * time.Minute

// cluster is etcd and kube-apiserver on the loopback, without nodes and without Kubernetes' own controllers.
type cluster struct {
	*kubernetes.Clientset
	certificates certmanager.Interface
	// url is where the API server listens; caFile verifies it.
	url, caFile string
	ca          []byte
	// admin is a kubeconfig of the group system:masters.
	admin     string
	folder    string
	processes []*process
}

var shared *cluster

func TestMain(m *testing.M) {
	os.Exit(func() int {
		started, err := startCluster()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer started.stop()
		shared = started
		return m.Run()
	}())
}

// program is what ../../kubernetes/run has built.
func program(name string) string { return filepath.Join(os.Getenv("CONFORMANCE_KUBERNETES"), name) }

func startCluster() (*cluster, error) {
	if os.Getenv("CONFORMANCE_KUBERNETES") == "" {
		return nil, errors.New("CONFORMANCE_KUBERNETES does not name the folder of the programs")
	}
	folder, err := os.MkdirTemp("", "conformance-kubernetes-")
	if err != nil {
		return nil, err
	}
	c := &cluster{folder: folder}
	if err := c.start(); err != nil {
		for _, one := range c.processes {
			err = fmt.Errorf("%w\n%s", err, one.log())
		}
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *cluster) stop() {
	// The API server before its store.
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].stop()
	}
	_ = os.RemoveAll(c.folder)
}

func (c *cluster) file(name string) string { return filepath.Join(c.folder, name) }

func (c *cluster) start() error {
	if err := c.material(); err != nil {
		return err
	}
	ports, err := harness.FreePorts(3)
	if err != nil {
		return err
	}
	etcd, peers := "https://"+ports[0], "http://"+ports[1]
	c.url = "https://" + ports[2]
	c.caFile = c.file("ca.pem")
	if err := c.run("etcd",
		"--name=one", "--data-dir="+c.file("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd, "--listen-peer-urls="+peers,
		"--initial-advertise-peer-urls="+peers, "--initial-cluster=one="+peers,
		"--cert-file="+c.file("etcd.pem"), "--key-file="+c.file("etcd.key"),
		"--client-cert-auth", "--trusted-ca-file="+c.caFile,
	); err != nil {
		return err
	}
	if err := c.run("kube-apiserver",
		"--etcd-servers="+etcd, "--etcd-cafile="+c.caFile, "--etcd-certfile="+c.file("client.pem"), "--etcd-keyfile="+c.file("client.key"),
		"--bind-address=127.0.0.1", "--secure-port="+ports[2][strings.LastIndex(ports[2], ":")+1:], "--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC", "--cert-dir="+c.folder,
		"--tls-cert-file="+c.file("server.pem"), "--tls-private-key-file="+c.file("server.key"), "--client-ca-file="+c.caFile,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+c.file("accounts.key"), "--service-account-signing-key-file="+c.file("accounts.key"),
	); err != nil {
		return err
	}
	if c.admin, err = c.kubeconfig("admin", map[string]string{
		"client-certificate": c.file("admin.pem"), "client-key": c.file("admin.key"),
	}); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.admin)
	if err != nil {
		return err
	}
	// The tests are not to wait for themselves.
	config.QPS = -1
	if c.Clientset, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if c.certificates, err = certmanager.NewForConfig(config); err != nil {
		return err
	}
	return c.ready()
}

// material is an authority for the whole cluster and what it certifies.
func (c *cluster) material() error {
	ca, err := harness.NewCA("kubernetes")
	if err != nil {
		return err
	}
	c.ca = ca.Certificate
	files := map[string][]byte{"ca.pem": ca.Certificate}
	for name, subject := range map[string]pkix.Name{
		"etcd":   {CommonName: "etcd"},
		"client": {CommonName: "kube-apiserver-etcd-client"},
		"server": {CommonName: "kube-apiserver"},
		"admin":  {CommonName: "admin", Organization: []string{"system:masters"}},
	} {
		// etcd calls itself with its own certificate.
		usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		if files[name+".pem"], files[name+".key"], err = ca.Pair(subject, usages...); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	files["accounts.key"] = harness.PEM("EC PRIVATE KEY", encoded)
	for name, content := range files {
		if err := os.WriteFile(c.file(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// kubeconfig writes a file with an address and the credentials of a user; gives its path.
func (c *cluster) kubeconfig(name string, user map[string]string) (string, error) {
	var lines strings.Builder
	for key, value := range user {
		fmt.Fprintf(&lines, "    %s: %q\n", key, value)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: it
clusters:
- name: it
  cluster:
    server: %q
    certificate-authority: %q
users:
- name: it
  user:
%scontexts:
- name: it
  context: {cluster: it, user: it}
`, c.url, c.caFile, lines.String())
	path := c.file(name + ".kubeconfig")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

func (c *cluster) ready() error {
	deadline := time.Now().Add(patience)
	for {
		answer := c.Discovery().RESTClient().Get().AbsPath("/readyz").Do(context.Background())
		var status int
		if answer.StatusCode(&status); status == http.StatusOK {
			return nil
		}
		for _, one := range c.processes {
			if one.hasEnded() {
				return errors.New("a program of the control plane has ended")
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the API server is not ready: %w", answer.Error())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (c *cluster) run(name string, arguments ...string) error {
	started, err := start(c.file(name+".log"), program(name), arguments...)
	if err == nil {
		c.processes = append(c.processes, started)
	}
	return err
}

// process is a program that runs beside the tests.
type process struct {
	*exec.Cmd
	logFile string
	ended   chan struct{}
}

func start(logFile, name string, arguments ...string) (*process, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(name, arguments...)
	command.Env = []string{"HOME=" + filepath.Dir(logFile), "PATH=" + os.Getenv("PATH")}
	command.Stdout, command.Stderr = log, log
	// The kernel ends it when the tests are killed.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, err
	}
	one := &process{Cmd: command, logFile: logFile, ended: make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(one.ended)
	}()
	return one, nil
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.Process.Kill()
		<-p.ended
	}
}

// log is the end of what it has written.
func (p *process) log() string {
	text, _ := os.ReadFile(p.logFile)
	const most = 8 << 10
	return string(text[max(0, len(text)-most):])
}

// beside runs a program until the test ends, which fails if the program has ended before; its log is shown if the test fails.
func beside(t *testing.T, name string, arguments ...string) *process {
	t.Helper()
	one, err := start(filepath.Join(t.TempDir(), "log"), name, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if one.hasEnded() {
			t.Errorf("%s has ended", filepath.Base(name))
		}
		one.stop()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), one.log())
		}
	})
	return one
}

// kubectl must succeed; what it printed.
func (c *cluster) kubectl(t *testing.T, input string, arguments ...string) string {
	t.Helper()
	command := exec.Command(program("kubectl"), append([]string{"--kubeconfig=" + c.admin}, arguments...)...)
	command.Stdin = strings.NewReader(input)
	// Its caches of the API belong to this cluster.
	command.Env = []string{"HOME=" + c.folder, "PATH=" + os.Getenv("PATH")}
	var errors bytes.Buffer
	command.Stderr = &errors
	printed, err := command.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(arguments, " "), err, printed, errors.String())
	}
	return string(printed)
}

// apply is `kubectl apply` of a manifest.
func (c *cluster) apply(t *testing.T, manifest string) {
	t.Helper()
	c.kubectl(t, manifest, "apply", "--server-side", "-f", "-")
}

// namespace makes one that lasts as long as the cluster, with a service account of the same name.
func (c *cluster) namespace(t *testing.T, name string, labels string) {
	t.Helper()
	c.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {%[2]s}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[1]s, namespace: %[1]s}
`, name, labels))
}

// token asks the API server for a token of a service account.
func (c *cluster) token(t *testing.T, namespace, account string, bound *authenticationv1.BoundObjectReference, audiences ...string) string {
	t.Helper()
	seconds := int64(3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: audiences, ExpirationSeconds: &seconds, BoundObjectRef: bound,
	}}
	made, err := c.CoreV1().ServiceAccounts(namespace).CreateToken(context.Background(), account, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Status.Token
}

// eventually asks until there is no error.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// signetInCluster is Signet with a token of the service account that deploy/kubernetes gives it, and a kubeconfig for that.
func (c *cluster) signetInCluster(t *testing.T) (kubeconfig, tokenFile string) {
	t.Helper()
	c.kubectl(t, "", "apply", "--server-side", "-k", "../../../deploy/kubernetes")
	// The API server takes a moment until it goes by new rights.
	eventually(t, func() error {
		if !may(t, authorizationv1.ResourceAttributes{Verb: "create", Group: "authentication.k8s.io", Resource: "tokenreviews"}) {
			return errors.New("may not review tokens")
		}
		return nil
	})
	token := c.token(t, "signet", "signet", nil)
	kubeconfig, err := c.kubeconfig("signet", map[string]string{"token": token})
	fatal(t, err)
	tokenFile = c.file("signet.token")
	fatal(t, os.WriteFile(tokenFile, []byte(token), 0o600))
	return kubeconfig, tokenFile
}

// server starts the server with more configuration, for as long as the test runs.
func server(t *testing.T, more string) *harness.Server {
	t.Helper()
	started, err := harness.Start(more)
	fatal(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server:\n%s", started.Log())
		}
		started.Stop()
	})
	return started
}

// onlySignet skips what the reference does not have.
func onlySignet(t *testing.T, what string) {
	t.Helper()
	if harness.Against() != "signet" {
		t.Skip(what + " is Signet's alone")
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
