use super::*;

const FILEFRAG: &str = "Filesystem type is: ef53
File size of db is 1064960 (260 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..     255:      34816..     35071:    256:
   1:      256..     259:      40960..     40963:      4:      35072: last,eof
   2:      260..     300:      50000..     50040:     41:             last,unwritten,eof
db: 2 extents found
";

const CHUNKS: &str = "\titem 0 key (DEV_ITEMS DEV_ITEM 1) itemoff 16185 itemsize 98
\titem 1 key (FIRST_CHUNK_TREE CHUNK_ITEM 13631488) itemoff 16105 itemsize 80
\t\tlength 8388608 owner 2 stripe_len 65536 type DATA|single
\t\tio_align 65536 io_width 65536 sector_size 4096
\t\tnum_stripes 1 sub_stripes 1
\t\t\tstripe 0 devid 1 offset 30408704
\t\t\tdev_uuid 00000000-0000-0000-0000-000000000000
";

#[test]
fn extents_that_were_written_are_found() {
    let extent = |at, beneath, length| Extent {
        at: at * BLOCK,
        beneath: beneath * BLOCK,
        length: length * BLOCK,
    };
    assert_eq!(parse_extents(FILEFRAG), [extent(0, 34816, 256), extent(256, 40960, 4)]);
}

#[test]
fn a_block_is_followed_through_the_disk_and_the_chunk_to_the_image() {
    let chunks = parse_chunks(CHUNKS);
    assert_eq!(chunks, [Chunk { logical: 13_631_488, length: 8_388_608, physical: 30_408_704 }]);
    let disk = [Extent { at: 0, beneath: 13_631_488 + 8192, length: 16384 }];
    assert_eq!(
        places(std::slice::from_ref(&(4096..12288)), &disk, &chunks).unwrap(),
        [30_408_704 + 12288, 30_408_704 + 16384]
    );
    assert_eq!(
        places(std::slice::from_ref(&(16384..20480)), &disk, &chunks).unwrap_err().to_string(),
        "block 16384 of the disk has no place"
    );
}

/// A real btrfs of its own, unmounted at the end of the test however that comes.
struct Storage {
    dir: PathBuf,
}

impl Storage {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("quorate-fault-{}", std::process::id()));
        fs::create_dir_all(dir.join("mount")).unwrap();
        let storage = Self { dir };
        File::create(storage.image()).unwrap().set_len(160 << 20).unwrap();
        run(command("mkfs.btrfs", ["-q", "-d", "single", "-m", "single"]).arg(storage.image()))
            .unwrap();
        run(command("mount", ["-t", "btrfs", "-o", "loop"])
            .args([storage.image(), storage.mount()]))
        .unwrap();
        storage
    }

    fn image(&self) -> PathBuf {
        self.dir.join("image")
    }

    fn mount(&self) -> PathBuf {
        self.dir.join("mount")
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let _ = run(command("umount", [self.mount()]).arg("--lazy"));
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn a_damaged_block_of_a_real_disk_is_an_io_error_and_its_copy_is_not() {
    if std::env::var_os("QUORATE_NO_LAB").is_some_and(|value| value == "1") {
        eprintln!("skipped: QUORATE_NO_LAB=1, and this test mounts a disk");
        return;
    }
    crate::command::require_root().unwrap();
    let storage = Storage::new();
    let (disk, copy) = (storage.mount().join("disk"), storage.mount().join("copy"));
    fs::write(&disk, vec![7; 64 << 10]).unwrap();
    crate::storage::clone(&disk, &copy).unwrap();
    let ranges = std::slice::from_ref(&(8192..16384));
    own(&disk, ranges).unwrap();
    run(command("btrfs", ["filesystem", "sync"]).arg(storage.mount())).unwrap();
    let blocks =
        places(ranges, &extents(&disk).unwrap(), &chunks(&storage.image()).unwrap()).unwrap();
    flip(&storage.image(), &blocks).unwrap();
    forget(&disk).unwrap();
    forget(&copy).unwrap();
    let block = |file: &Path, at| File::open(file).unwrap().read_exact_at(&mut [0; 4096], at);
    assert_eq!(block(&disk, 8192).unwrap_err().raw_os_error(), Some(nix::libc::EIO));
    assert_eq!(block(&disk, 12288).unwrap_err().raw_os_error(), Some(nix::libc::EIO));
    assert!(block(&disk, 0).is_ok());
    assert!(read(&copy).is_ok(), "the copy shared the blocks and must not be damaged");
}
