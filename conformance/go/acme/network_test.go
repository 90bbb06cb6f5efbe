package acme

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Network is where the hosts of the tests are: every name is one address of this machine, with a web server, a TLS server
// and a DNS server that say what the tests tell them to.
type Network struct {
	// Address is that of every host.
	Address string
	// Resolver is the DNS server, with its port.
	Resolver string

	mutex     sync.Mutex
	pages     map[string]string
	redirects map[string]string
	texts     map[string][]string
	pair      *tls.Certificate
}

// NewNetwork starts the servers, or skips the test where the ports that the protocol prescribes cannot be had.
func NewNetwork(t *testing.T) *Network {
	t.Helper()
	network := &Network{
		Address:   address(t),
		pages:     map[string]string{},
		redirects: map[string]string{},
		texts:     map[string][]string{},
	}
	listen := func(port string) net.Listener {
		listener, err := net.Listen("tcp", net.JoinHostPort(network.Address, port))
		if err != nil {
			t.Skipf("challenges need ports 80 and 443: %v", err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		return listener
	}
	web, secure := listen("80"), listen("443")
	names, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = names.Close() })
	network.Resolver = names.LocalAddr().String()
	go func() { _ = http.Serve(web, network) }()
	go network.shakeHands(secure)
	go network.answerQuestions(names)
	return network
}

// address is one of this machine's that is not on the loopback: a server in production looks at none of those.
func address(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	t.Skip("challenges need a host that is not on the loopback, and this machine has no other IPv4 address")
	return ""
}

// SetPage is what the web server of a host says at a path.
func (n *Network) SetPage(host, path, body string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.pages[host+path] = body
}

// SetRedirect is where the web server of a host sends whoever asks for a path.
func (n *Network) SetRedirect(host, path, target string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.redirects[host+path] = target
}

// SetTexts is what DNS says of a name.
func (n *Network) SetTexts(name string, texts ...string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.texts[name] = texts
}

// SetPair is what the TLS server shows.
func (n *Network) SetPair(pair tls.Certificate) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.pair = &pair
}

func (n *Network) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if target, found := n.redirects[request.Host+request.URL.Path]; found {
		http.Redirect(answer, request, target, http.StatusFound)
		return
	}
	body, found := n.pages[request.Host+request.URL.Path]
	if !found {
		http.NotFound(answer, request)
		return
	}
	_, _ = fmt.Fprintln(answer, body)
}

func (n *Network) shakeHands(listener net.Listener) {
	config := &tls.Config{
		NextProtos: []string{"acme-tls/1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			n.mutex.Lock()
			defer n.mutex.Unlock()
			return n.pair, nil
		},
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			_ = tls.Server(connection, config).Handshake()
		}()
	}
}

func (n *Network) answerQuestions(connection net.PacketConn) {
	packet := make([]byte, 1500)
	for {
		length, client, err := connection.ReadFrom(packet)
		if err != nil {
			return
		}
		var question dnsmessage.Message
		if question.Unpack(packet[:length]) != nil || len(question.Questions) != 1 {
			continue
		}
		answer, err := n.answer(question).Pack()
		if err == nil {
			_, _ = connection.WriteTo(answer, client)
		}
	}
}

func (n *Network) answer(question dnsmessage.Message) *dnsmessage.Message {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	asked := question.Questions[0]
	answer := &dnsmessage.Message{
		Header:    dnsmessage.Header{ID: question.ID, Response: true, RecursionAvailable: true},
		Questions: question.Questions,
	}
	header := dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: dnsmessage.ClassINET}
	add := func(body dnsmessage.ResourceBody) {
		answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	switch asked.Type {
	case dnsmessage.TypeA:
		add(&dnsmessage.AResource{A: [4]byte(net.ParseIP(n.Address).To4())})
	case dnsmessage.TypeTXT:
		name := strings.ToLower(strings.TrimSuffix(asked.Name.String(), "."))
		for _, text := range n.texts[name] {
			add(&dnsmessage.TXTResource{TXT: []string{text}})
		}
	}
	return answer
}
