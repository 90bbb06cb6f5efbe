// Package harness starts the server under test and provisions it as an operator would.
package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
)

// Server is a process of its own, initialized and unsealed. Its three listeners serve the same.
type Server struct {
	// PlainURL speaks HTTP.
	PlainURL string
	// TLSURL asks for a client certificate and takes none as well.
	TLSURL string
	// MutualURL refuses clients without a certificate.
	MutualURL string
	Material  *Material
	RootToken string
	unsealKey string
	process   *exec.Cmd
	folder    string
}

// Against is "signet" or "openbao".
func Against() string { return os.Getenv("CONFORMANCE_AGAINST") }

// Main runs the tests of a package with a server.
func Main(m *testing.M, server **Server) {
	os.Exit(func() int {
		started, err := Start("")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer started.Stop()
		*server = started
		return m.Run()
	}())
}

// Start runs what CONFORMANCE_SERVER names, with more configuration than the listeners and the storage.
func Start(more string) (*Server, error) {
	program := os.Getenv("CONFORMANCE_SERVER")
	if program == "" {
		return nil, errors.New("CONFORMANCE_SERVER does not name a server program")
	}
	folder, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return nil, err
	}
	server := &Server{folder: folder}
	if err := server.start(program, more); err != nil {
		log := server.Log()
		server.Stop()
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	return server, nil
}

// Log is what the process has written.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.folder, "log"))
	return string(text)
}

// Stop ends the process.
func (s *Server) Stop() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
	_ = os.RemoveAll(s.folder)
}

func (s *Server) start(program, more string) error {
	var err error
	if s.Material, err = NewMaterial(); err != nil {
		return err
	}
	files := map[string][]byte{
		"ca.pem": s.Material.CA, "server.pem": s.Material.ServerCertificate, "server.key": s.Material.ServerKey,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.folder, name), content, 0o600); err != nil {
			return err
		}
	}
	ports, err := FreePorts(3)
	if err != nil {
		return err
	}
	s.PlainURL = "http://" + ports[0]
	s.TLSURL = "https://" + ports[1]
	s.MutualURL = "https://" + ports[2]
	file := func(name string) string { return filepath.Join(s.folder, name) }
	tls := fmt.Sprintf("tls_cert_file = %q\n  tls_key_file = %q", file("server.pem"), file("server.key"))
	configuration := fmt.Sprintf(`
storage "inmem" {}
disable_mlock = true
api_addr = %q
listener "tcp" {
  address = %q
  tls_disable = true
}
listener "tcp" {
  address = %q
  %s
}
listener "tcp" {
  address = %q
  %s
  tls_client_ca_file = %q
  tls_require_and_verify_client_cert = true
}
%s
`, s.PlainURL, ports[0], ports[1], tls, ports[2], tls, file("ca.pem"), more)
	if err := os.WriteFile(file("config.hcl"), []byte(configuration), 0o600); err != nil {
		return err
	}
	log, err := os.Create(file("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.process = exec.Command(program, "server", "-config="+file("config.hcl"))
	s.process.Env = []string{"HOME=" + s.folder, "PATH=" + os.Getenv("PATH")}
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		return err
	}
	return s.initialize()
}

func (s *Server) initialize() error {
	client, err := s.client("")
	if err != nil {
		return err
	}
	deadline := time.Now().Add(time.Minute)
	for {
		made, err := client.Sys().Init(&vault.InitRequest{SecretShares: 1, SecretThreshold: 1})
		if err == nil {
			s.RootToken, s.unsealKey = made.RootToken, made.Keys[0]
			return s.Unseal()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server does not start: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Seal makes the server forget its keys.
func (s *Server) Seal() error {
	client, err := s.client(s.RootToken)
	if err != nil {
		return err
	}
	return client.Sys().Seal()
}

// Unseal undoes Seal.
func (s *Server) Unseal() error {
	client, err := s.client("")
	if err != nil {
		return err
	}
	status, err := client.Sys().Unseal(s.unsealKey)
	if err != nil {
		return err
	}
	if status.Sealed {
		return errors.New("still sealed")
	}
	return nil
}

// Client speaks plain HTTP with a token.
func (s *Server) Client(t *testing.T, token string) *vault.Client {
	t.Helper()
	client, err := s.client(token)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Root is a client with the root token.
func (s *Server) Root(t *testing.T) *vault.Client {
	t.Helper()
	return s.Client(t, s.RootToken)
}

func (s *Server) client(token string) (*vault.Client, error) {
	config := vault.DefaultConfig()
	config.Address = s.PlainURL
	config.MaxRetries = 0
	client, err := vault.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.SetToken(token)
	return client, nil
}

// Write is a write that must succeed.
func Write(t *testing.T, client *vault.Client, path string, data map[string]any) *vault.Secret {
	t.Helper()
	secret, err := client.Logical().WriteWithContext(context.Background(), path, data)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// FreePorts gives addresses on the loopback that nobody listens on.
func FreePorts(count int) ([]string, error) {
	var addresses []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
