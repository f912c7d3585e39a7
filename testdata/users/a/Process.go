// Process sends one greeting to a peer over UDP until the peer's greeting has arrived.
//
//	Process LISTEN PEER   (each is host:port)
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: Process LISTEN PEER")
		os.Exit(2)
	}
	if err := talk(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "Process:", err)
		os.Exit(1)
	}
}

func talk(listen, peer string) error {
	own, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return err
	}
	other, err := net.ResolveUDPAddr("udp", peer)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", own)
	if err != nil {
		return err
	}
	defer conn.Close()
	heard := make([]byte, 512)
	for try := 0; try < 100; try++ {
		conn.WriteToUDP([]byte("hello from "+listen), other)
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, _, err := conn.ReadFromUDP(heard)
		if err != nil {
			continue
		}
		// The peer may have started before us and lost our first greetings: repeat it once.
		conn.WriteToUDP([]byte("hello from "+listen), other)
		fmt.Printf("%s heard: %s\n", listen, heard[:n])
		return nil
	}
	return fmt.Errorf("no word from %s", peer)
}
